"""The inputs that azft's own engine has beside the component's, and what they mean for memory."""

from __future__ import annotations

from azft.domain.component import ComponentInput
from azft.domain.parameters import Parameters
from azft.rules.devices import PROCESSES
from azft.rules.memory import Training

CHECKPOINTING = "gradient_checkpointing"
SHARDING = "sharding"
LOAD_IN, FOUR_BIT = "load_in", "4bit"
OWN_INPUTS = (
    ComponentInput("packing", "boolean", default=False),
    ComponentInput("threads", "integer", default=0, minimum=0),
    ComponentInput("answers", "integer", default=4, minimum=0),
    ComponentInput("pack_length", "integer", default=-1),
    ComponentInput(CHECKPOINTING, "string", default="auto", enum=("auto", "on", "off")),
    ComponentInput("save_minutes", "number", default=10.0, minimum=0),
    ComponentInput(PROCESSES, "integer", default=0, minimum=0),
    ComponentInput(SHARDING, "string", default="auto", enum=("auto", "on", "off")),
    ComponentInput(LOAD_IN, "string", default="own", enum=("own", FOUR_BIT)),
)
"""Inputs only the engine has.

Best-fit packing, and how many tokens a packed row has (-1 for as many as the longest conversation); CPU threads (0 for
all cores); questions asked side by side; whether activations are computed again rather than kept; the minutes
between two checkpoints beside those of evaluations (0 for none); the processes that train together (0 for one a GPU,
one on a CPU), whether each of them keeps a part of the weights alone (FSDP2), and whether the weights that LoRA leaves
as they are come in the type of their file or in 4 bit (QLoRA).
"""


def training_here(parameters: Parameters, *, longest: int, batch: int, checkpointing: bool) -> Training:
    """Return what the parameters mean for the memory of one process, for passes of `batch` rows of `longest` tokens."""
    lora = parameters.flag("apply_lora")
    return Training(
        lora_rank=parameters.integer("lora_r") if lora else 0,
        # Weights that an adapter leaves as they are stay in the 16 bit that they came in.
        regime="32" if parameters.text("precision") != "16" else "half" if lora else "mixed",
        stage=0,
        devices=1,
        batch=batch,
        sequence=longest,
        checkpointing=checkpointing,
        four_bit=lora and parameters.text(LOAD_IN) == FOUR_BIT,
        adafactor=parameters.text("optim") == "adafactor",
    )
