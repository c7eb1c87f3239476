"""A loss of one's own in azft's training: answers that the model is sure of count less (focal loss)."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from azft.engine.tokens import IGNORE
from azft.training import current_task

GAMMA = 2.0


def focal(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None) -> torch.Tensor:
    """Return the mean over the learned tokens of a step; a batch may be one part of it."""
    logits, wanted = outputs["logits"][:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten()
    each = cross_entropy(logits, wanted, ignore_index=IGNORE, reduction="none")
    each = (1 - torch.exp(-each)) ** GAMMA * each
    return each.sum() / ((wanted != IGNORE).sum() if num_items_in_batch is None else num_items_in_batch)


task = current_task()
trainer = task.trainer(task.load_model(), loss=focal)
trainer.train(resume_from_checkpoint=task.newest_checkpoint())
task.save(trainer.model)
