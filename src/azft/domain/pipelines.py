"""A fine-tuning pipeline of a registry as data: what it is for, what its rows are, and which input carries what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from azft.domain.mappings import copied
from azft.domain.parameters import ParameterValue

CHAT_ROWS, AS_IS = "chat", "as_is"
"""Row formats: conversations, and data that goes to the pipeline unread."""
GPUS = ("number_of_gpu_to_use_finetuning", "process_count_per_instance_finetune", "process_count_per_instance")
NODES = ("num_nodes_finetune", "instance_count")
BATCH = ("per_device_train_batch_size", "training_batch_size")
ACCUMULATION = ("gradient_accumulation_steps", "gradient_accumulation_step")
EPOCHS = ("num_train_epochs", "number_of_epochs")
"""What the registry's pipelines call the GPUs of a node that train, the nodes, the rows that a GPU takes at once, how
many such steps are put together, and the passes over the data (azureml-assets, 30 pipelines)."""


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


@frozen
class Roles:
    """Which of a pipeline's inputs carry what, by name, and which of its outputs is the tuned model.

    `model` takes the base model, `model_id` its id as text, and `model_name` its name where nothing takes it. `train`,
    `validation` and `test` take the data, where there are several for different types of it the one that fits.
    `computes` and `sizes` take the machines of the steps, `gpus` how many GPUs of a node train. What is empty, azft
    finds by the declared inputs.
    """

    model: str = ""
    model_id: str = ""
    model_name: str = ""
    train: tuple[str, ...] = field(default=(), converter=_names)
    validation: tuple[str, ...] = field(default=(), converter=_names)
    test: tuple[str, ...] = field(default=(), converter=_names)
    computes: tuple[str, ...] = field(default=(), converter=_names)
    sizes: tuple[str, ...] = field(default=(), converter=_names)
    gpus: str = ""
    output: str = ""

    def data(self, split: str) -> tuple[str, ...]:
        """Return the inputs that take a split's data."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


@frozen
class PipelineTrainer:
    """A fine-tuning pipeline of a registry as what trains.

    `component` is its name, in `registry`, at `version` or the newest. `task` is what models' cards call what it tunes
    for, empty where no card says it. `rows` names the format of its rows; "as_is" lets files and folders through
    unread. `parameters` are those of its tutorial, weaker than the model's defaults. `roles` says what the rule over
    the declared inputs cannot see, and `keys` which input names which column of the rows, beside those that the row
    format knows. `lacks` names what it has nothing for: "model", "train" or "output".
    """

    component: str
    task: str = ""
    rows: str = AS_IS
    registry: str = "azureml"
    version: str = ""
    parameters: Mapping[str, ParameterValue] = field(converter=copied, factory=dict)
    roles: Roles = field(factory=Roles)
    keys: Mapping[str, str] = field(converter=copied, factory=dict)
    lacks: tuple[str, ...] = field(default=(), converter=_names)

    @property
    def name(self) -> str:
        """The name it is chosen by: the component's."""
        return self.component

    @property
    def chats(self) -> bool:
        """Whether its rows are conversations."""
        return self.rows == CHAT_ROWS


CHAT = PipelineTrainer(
    "chat_completion_pipeline",
    task="chat-completion",
    rows=CHAT_ROWS,
    parameters={
        "num_train_epochs": 3,
        "per_device_train_batch_size": 1,
        "per_device_eval_batch_size": 1,
        "learning_rate": 5e-6,
        "lr_scheduler_type": "cosine",
        "apply_lora": True,
        "apply_deepspeed": True,
        "deepspeed_stage": "2",
    },
)
"""The tutorial's pipeline, with the parameters of the tutorial."""


def first_of(names: Iterable[str], there: Iterable[str]) -> str:
    """Return the first of the names that is there, or nothing.

    >>> first_of(("a", "b"), {"b": 1, "c": 2})
    'b'
    """
    known = set(there)
    return next((name for name in names if name in known), "")
