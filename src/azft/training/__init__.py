"""Parts for fine-tune scripts of one's own, the same that azft's engine is built of.

In a script that azft runs (`FineTuneSession(trainer=azft.Script("train.py"))`), here or elsewhere:

```text
from azft.training import current_task

task = current_task()                      # where everything is: model, data, checkpoints, output, parameters
model, tokenizer = task.load_model(), task.load_tokenizer()
trainer = task.trainer(model)              # transformers' Trainer, with azft's rows, checkpoints and events
trainer.train(resume_from_checkpoint=task.newest_checkpoint())
task.save(trainer.model, tokenizer)
```
"""

from typing import TYPE_CHECKING

_HOMES = {
    "current_task": "azft.training.task",
    "Task": "azft.training.task",
    "CanceledError": "azft.training.task",
    "tokens": "azft.training.tokenising",
}

if TYPE_CHECKING:
    from azft.training.task import CanceledError, Task, current_task
    from azft.training.tokenising import tokens
else:

    def __getattr__(name: str) -> object:
        """Import a part where it lives, the first time it is asked for: torch is loaded when it is needed."""
        if name not in _HOMES:
            raise AttributeError(f"module 'azft.training' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)


__all__ = ["CanceledError", "Task", "current_task", "tokens"]
