"""The tutorial's naming scheme."""

from azft.domain.specs import NamingScheme
from azft.plugins import hookimpl
from azft.rules.naming import tutorial_display_name, tutorial_model_name


@hookimpl
def azft_naming_schemes() -> list[NamingScheme]:
    """Offer the names the tutorial gives, to the letter."""
    return [NamingScheme("tutorial", tutorial_display_name, tutorial_model_name)]
