"""The processes of one attempt at a command job: every rank on every node, each with its variables and its log."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from azft.processes import end_sessions, free_port
from azft.testing.emulator.commands.order import Order
from azft.variables import sharing

GRACE = 5.0
"""Seconds that processes have to end by themselves after they were asked to."""
TAIL = 20
"""Lines of a log that are told with a failure."""


@frozen
class Rank:
    """One process of the command: its number among all, on its node, and its node."""

    rank: int
    local: int
    node: int


def ranks(order: Order) -> list[Rank]:
    """Return the processes of the command on all nodes.

    >>> [(one.rank, one.local, one.node) for one in ranks(Order("a", "b", nodes=2, processes=2))]
    [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 1, 1)]
    """
    return [
        Rank(node * order.processes + local, local, node)
        for node in range(order.nodes)
        for local in range(order.processes)
    ]


def log_name(order: Order, rank: Rank) -> str:
    """Return the name of a process's log, as the service calls it."""
    return "std_log.txt" if order.world_size == 1 else f"std_log_process_{rank.rank:02d}.txt"


def variables(order: Order, rank: Rank, *, address: str, port: int) -> dict[str, str]:
    """Return the variables of a rank, as the distribution of the job sets them (how-to-train-distributed-gpu)."""
    world, local = str(order.world_size), str(rank.local)
    common = {"AZUREML_NODE_COUNT": str(order.nodes), "NODE_RANK": str(rank.node)}
    if order.distribution == "PyTorch":
        return {
            **common,
            "MASTER_ADDR": address,
            "MASTER_PORT": str(port),
            "WORLD_SIZE": world,
            "RANK": str(rank.rank),
            "LOCAL_RANK": local,
        }
    if order.distribution == "Mpi":
        return {
            **common,
            "OMPI_COMM_WORLD_RANK": str(rank.rank),
            "OMPI_COMM_WORLD_SIZE": world,
            "OMPI_COMM_WORLD_LOCAL_RANK": local,
            "OMPI_COMM_WORLD_LOCAL_SIZE": str(order.processes),
            "AZ_BATCH_MASTER_NODE": f"{address}:{port}",
        }
    return common


class Processes:
    """The ranks of one attempt, started together; used with `with`, and none is left after the block."""

    def __init__(self, order: Order, nodes: Sequence[Path], places: Sequence[Mapping[str, str]], logs: Path) -> None:
        self._order = order
        self._nodes = nodes
        self._places = places
        self._logs = logs
        self._running: list[tuple[Rank, subprocess.Popen[bytes]]] = []

    def start(self, environment: Mapping[str, str]) -> None:
        """Start every rank with the variables that all have."""
        port = free_port()
        for rank in ranks(self._order):
            command = self._order.filled(self._places[rank.node])
            own = variables(self._order, rank, address="127.0.0.1", port=port)
            with (self._logs / log_name(self._order, rank)).open("ab") as log:
                process = subprocess.Popen(
                    ["/bin/bash", "-c", command],
                    cwd=self._nodes[rank.node] / "wd",
                    env=sharing(
                        {
                            **environment,
                            **own_packages(self._nodes[rank.node], environment),
                            **own,
                            **self._order.variables,
                        }
                    ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._running.append((rank, process))

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def failed(self) -> str | None:
        """Return how the first rank that failed did, nothing when all ended well; None while they work."""
        codes = [(rank, process.poll()) for rank, process in self._running]
        for rank, code in codes:
            if code:
                return self._told(rank, code)
        return None if any(code is None for _rank, code in codes) else ""

    def end(self) -> None:
        """Ask all to end, and end those that do not."""
        end_sessions([process for _rank, process in self._running], GRACE)

    def kill(self) -> None:
        """End all at once, with whatever they started in their session."""
        end_sessions([process for _rank, process in self._running])

    def _told(self, rank: Rank, code: int) -> str:
        """Return what the service says of a process that failed, with the last lines of its log."""
        name = log_name(self._order, rank)
        lines = (self._logs / name).read_text(encoding="utf-8", errors="replace").splitlines()
        begin = next((at for at in reversed(range(len(lines))) if lines[at].startswith("Traceback")), -TAIL)
        program = (shlex.split(self._order.command, posix=False) or ["bash"])[0]
        status = 128 - code if code < 0 else code
        return (
            f"Execution failed. User process '{program}' exited with status code {status}. Please check log file "
            f"'user_logs/{name}' for error details. Error: " + "\n".join(lines[begin:])
        )


def own_packages(node: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which `pip install` in a command installs for its job alone, as into an image.

    The interpreter is the caller's, and nothing of it may change.
    """
    place = str(node / "packages")
    return {"PIP_TARGET": place, "PYTHONPATH": os.pathsep.join(filter(None, [place, environment.get("PYTHONPATH")]))}


def environment_of(base: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that every rank has: `python` is the interpreter that runs here."""
    here = str(Path(sys.executable).parent)
    return {**base, **given, "AZFT_WITHOUT_GPUS": "1", "PATH": f"{here}{os.pathsep}{base.get('PATH', os.defpath)}"}
