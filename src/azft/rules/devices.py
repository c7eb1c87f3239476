"""How many GPUs and processes of a node train: all of its GPUs, unless somebody asked for fewer."""

from __future__ import annotations

from azft.domain.compute import Compute
from azft.domain.parameters import Parameters
from azft.domain.pipelines import GPUS, first_of
from azft.rules.parameters import COMPONENT

PROCESSES = "processes"
"""The input of this machine with the processes that train together."""


def gpus_asked(parameters: Parameters) -> int | None:
    """Return how many GPUs of each node somebody asked for; None means all of them."""
    name = first_of(GPUS, parameters)
    if not name or parameters.explain(name).source == COMPONENT:
        return None
    return parameters.integer(name)


def processes_used(parameters: Parameters, gpus: int) -> int:
    """Return the processes of one node that train: as many as were asked for, or else one a GPU that is used.

    >>> processes_used(Parameters(()), 0), processes_used(Parameters(()), 8)
    (1, 8)
    """
    asked = parameters.integer(PROCESSES) if PROCESSES in parameters else 0
    if asked > 0:
        return asked
    wanted, most = gpus_asked(parameters), max(gpus, 1)
    return most if wanted is None else min(max(wanted, 1), most)


def gpus_used(parameters: Parameters, compute: Compute) -> int:
    """Return the GPUs of one node that train.

    >>> from azft.domain.parameters import Resolved
    >>> gpus_used(Parameters((Resolved(GPUS[0], 1, "user"),)), Compute("c", "s", gpus=8))
    1
    """
    return min(processes_used(parameters, compute.gpus), compute.gpus)
