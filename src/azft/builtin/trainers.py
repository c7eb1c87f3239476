"""The trainers that ship with azft."""

from azft.domain.pipelines import CHAT, PipelineTrainer
from azft.domain.trainers import ENGINE, Trainer
from azft.plugins import hookimpl


@hookimpl
def azft_trainers() -> list[Trainer | PipelineTrainer]:
    """Offer azft's own engine, and the registry's pipeline for chat models."""
    return [Trainer(ENGINE), CHAT]
