"""How many GPUs of a node are really used: all of them, unless somebody asked for fewer."""

from __future__ import annotations

from azft.domain.compute import Compute
from azft.domain.parameters import Parameters
from azft.rules.parameters import COMPONENT
from azft.rules.pipeline_inputs import GPUS


def gpus_used(parameters: Parameters, compute: Compute) -> int:
    """Return the GPUs of one node that train.

    >>> from azft.domain.parameters import Resolved
    >>> gpus_used(Parameters((Resolved(GPUS, 1, "user"),)), Compute("c", "s", gpus=8))
    1
    """
    if GPUS not in parameters or parameters.explain(GPUS).source == COMPONENT:
        return compute.gpus
    return min(max(parameters.integer(GPUS), 1), compute.gpus) if compute.gpus else 0
