"""What this machine makes of the inputs: some need several machines, others what is not installed or built in."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec

from azft.domain.component import Component
from azft.domain.findings import Finding
from azft.domain.parameters import Parameters
from azft.engine.machine import has_half_precision
from azft.rules.engine import FOUR_BIT, LOAD_IN
from azft.rules.engine_inputs import IGNORED, REFUSED, engine_component, input_findings
from azft.snapshot import chat_completion_pipeline

IGNORED_HERE = {**IGNORED, "shm_size_finetune": "processes of this machine share its memory"}
REFUSED_HERE = {**REFUSED, "num_nodes_finetune": "there is one node here"}


def local_component() -> Component:
    """Return the Azure component with the local inputs beside its own."""
    return engine_component(chat_completion_pipeline(), datetime.now(UTC).date())


def check_inputs(parameters: Parameters) -> list[Finding]:
    """Say which inputs that somebody set will be ignored or refused here."""
    found = input_findings(parameters, ignored=IGNORED_HERE, refused=REFUSED_HERE)
    if LOAD_IN in parameters and parameters.text(LOAD_IN) == FOUR_BIT and find_spec("bitsandbytes") is None:
        said, fix = f"{FOUR_BIT!r}: bitsandbytes is not installed", "pip install 'azft[quantized]'"
        found.append(Finding("AZFT-P102", "error", LOAD_IN, said, fix=fix))
    return found


def precision_findings(parameters: Parameters, *, gpus: int) -> list[Finding]:
    """Warn of half precision where this machine's processor has no instructions for it and has to compute alone."""
    if gpus or "precision" not in parameters or parameters.text("precision") != "16" or has_half_precision():
        return []
    found = "'16' on a processor without instructions for bf16, where a product takes many times as long as in 32 bit"
    return [Finding("AZFT-P103", "warning", "precision", found, "'32' on this machine", "precision='32'")]
