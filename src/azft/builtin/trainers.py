"""The trainers that ship with azft."""

from azft.domain.trainers import CHAT_PIPELINE, ENGINE, Trainer
from azft.plugins import hookimpl


@hookimpl
def azft_trainers() -> list[Trainer]:
    """Offer azft's own engine, and the registry's pipeline for chat models."""
    return [Trainer(ENGINE), Trainer(CHAT_PIPELINE)]
