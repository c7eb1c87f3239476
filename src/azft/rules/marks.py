"""The marks that a thing of ours carries, so that it is known again without the ledger, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Mapping

from azft.domain.resource import PRIVATE_TAGS

SESSION, TOKEN, KEY = PRIVATE_TAGS
"""Which session made it; which intent of it the thing fulfils, a new one for each; and for what it was made: a digest
of plan and data, the same for the same plan."""
FOLDER = "azft.folder"
"""Of a model that was registered from a folder: a digest of what is in it."""
_PREFIX = "azft."


def marks(session: str, token: str, key: str = "") -> dict[str, str]:
    """Return the tags of a thing that is about to be made.

    >>> marks("s", "t")
    {'azft.session': 's', 'azft.token': 't'}
    """
    return {SESSION: session, TOKEN: token, **({KEY: key} if key else {})}


def is_ours(tags: Mapping[str, str] | None, token: str = "") -> bool:
    """Return whether the thing with these tags was made by azft, and for that intent if it is given.

    >>> is_ours({"azft.token": "a"}, "a"), is_ours({"azft.token": "a"}, "b"), is_ours({"team": "x"}), is_ours(None)
    (True, False, False, False)
    """
    known = tags or {}
    return known.get(TOKEN) == token if token else any(name.startswith(_PREFIX) for name in known)
