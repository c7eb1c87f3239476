"""What a command job asks for, read from the body that the SDK sends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from azft.testing.emulator.shapes import seconds_of, whole, word
from azft.testing.emulator.wire import WireError, bad_request

INPUT_TYPES = ("literal", "uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model")
OUTPUT_TYPES = INPUT_TYPES[1:]
MODES = ("ReadOnlyMount", "ReadWriteMount", "Download", "Direct", "EvalMount", "EvalDownload", "Upload")
DISTRIBUTIONS = ("PyTorch", "Mpi", "TensorFlow", "Ray")
MOST_NODES, MOST_PROCESSES = 100, 64
"""Nodes: of a cluster of an RDMA family (how-to-manage-quotas); processes of one node are ours to bound."""
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_BOUND = re.compile(r"\$\{\{\s*(inputs|outputs)\.(\w+)(?:\.path)?\s*\}\}")
_SHARED_MEMORY = re.compile(r"\d+[bkmgBKMG]?")


@frozen
class Given:
    """An input: a text, or a place: a path in the workspace's storage, a folder of this machine, or an address."""

    type: str
    mode: str = ""
    value: str = ""
    path: str = ""
    folder: str = ""
    uri: str = ""


@frozen
class Kept:
    """An output: where it lies in storage, and whether it gets there as it is written or at the end."""

    type: str
    path: str
    mode: str = "ReadWriteMount"


@frozen
class Order:
    """A command and all that it needs; `code` is the path of its snapshot in storage, `timeout` seconds, 0 for none."""

    job: str
    command: str
    code: str = ""
    inputs: Mapping[str, Given] = field(factory=dict)
    outputs: Mapping[str, Kept] = field(factory=dict)
    variables: Mapping[str, str] = field(factory=dict)
    nodes: int = 1
    processes: int = 1
    distribution: str = ""
    timeout: float = 0.0

    @property
    def world_size(self) -> int:
        """How many processes there are on all nodes."""
        return self.nodes * self.processes

    def filled(self, places: Mapping[str, str]) -> str:
        """Return the command with `${{inputs.x}}` and `${{outputs.x}}` put in; `places` are paths by "inputs.x".

        >>> order = Order("a", "cat ${{inputs.data}} > ${{ outputs.out }}/x; echo ${inputs.data}")
        >>> order.filled({"inputs.data": "/in", "outputs.out": "/out"})
        'cat /in > /out/x; echo ${inputs.data}'
        """
        return _BOUND.sub(lambda found: places[f"{found[1]}.{found[2]}"], self.command)


def order_of(
    job: str, properties: Mapping[str, Any], *, code: Callable[[str], str], place: Callable[[str, Given], Given]
) -> Order:
    """Return the order of a job's properties; the service's refusal of one that cannot be.

    `code` finds the snapshot of a code id, and `place` where an address leads.
    """
    command = str(properties.get("command") or "")
    if not command.strip():
        raise bad_request("a command job needs a 'command'", "ValidationError")
    inputs = {name: _input(name, entry, place) for name, entry in (properties.get("inputs") or {}).items()}
    outputs = {name: _output(job, name, entry, place) for name, entry in (properties.get("outputs") or {}).items()}
    for name in (*inputs, *outputs):
        if not _NAME.fullmatch(name):
            raise bad_request(f"{name!r}: names are letters, digits and '_', with no digit first", "ValidationError")
    known = {*(f"inputs.{name}" for name in inputs), *(f"outputs.{name}" for name in outputs)}
    for found in _BOUND.finditer(command):
        if f"{found[1]}.{found[2]}" not in known:
            raise bad_request(f"the command names {found[0]}, and the job has no such {found[1][:-1]}")
    resources = properties.get("resources") or {}
    shared = resources.get("shmSize")
    if shared is not None and not _SHARED_MEMORY.fullmatch(str(shared)):
        raise bad_request(f"shmSize {shared!r}: a number and one of b, k, m, g")
    limit = (properties.get("limits") or {}).get("timeout")
    kind, processes = _distribution(properties.get("distribution"))
    return Order(
        job,
        command,
        code(str(properties["codeId"])) if properties.get("codeId") else "",
        inputs,
        {name: kept for name, kept in outputs.items() if name != "default"},
        {str(name): str(value) for name, value in (properties.get("environmentVariables") or {}).items()},
        whole(resources, "instanceCount", 1, MOST_NODES, default=1),
        processes,
        kind,
        0.0 if limit is None else seconds_of(limit),
    )


def _distribution(given: Any) -> tuple[str, int]:
    if not given:
        return "", 1
    kind = word(given, "distributionType", DISTRIBUTIONS, needed=True)
    if kind not in {"PyTorch", "Mpi"}:
        raise WireError(501, "EmulatorUnhandled", f"not emulated: the distribution {kind!r}")
    return kind, whole(given, "processCountPerInstance", 1, MOST_PROCESSES, default=1)


def _input(name: str, entry: Any, place: Callable[[str, Given], Given]) -> Given:
    kind = word(entry, "jobInputType", INPUT_TYPES, needed=True)
    if kind == "literal":
        return Given(kind, value=str(entry.get("value", "")))
    mode = word(entry, "mode", MODES) or "ReadOnlyMount"
    if mode in {"EvalMount", "EvalDownload"}:
        raise WireError(501, "EmulatorUnhandled", f"not emulated: the mode {mode!r} of input {name!r}")
    uri = str(entry.get("uri") or "")
    if not uri:
        raise bad_request(f"input {name!r} has no 'uri'", "ValidationError")
    found = place(name, Given(kind, mode, uri=uri))
    return evolve(found, value=uri) if mode == "Direct" else found


def _output(job: str, name: str, entry: Any, place: Callable[[str, Given], Given]) -> Kept:
    kind = word(entry or {}, "jobOutputType", OUTPUT_TYPES) or "uri_folder"
    mode = word(entry or {}, "mode", MODES) or "ReadWriteMount"
    if mode not in {"ReadWriteMount", "Upload"}:
        raise WireError(501, "EmulatorUnhandled", f"not emulated: the mode {mode!r} of output {name!r}")
    uri = str((entry or {}).get("uri") or "")
    path = place(name, Given(kind, mode, uri=uri)).path if uri else f"azureml/{job}/{name}"
    return Kept(kind, path.rstrip("/"), mode)
