"""A pipeline of components as its steps: what each runs, what it reads, where it writes, and whom it waits for.

The form of nodes, bindings and optional parts of a command is that of the SDK's bodies (azure-ai-ml 1.20 to 1.35) and
of the schemas of components (azuremlschemas.azureedge.net).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import field, frozen

from azft.testing.emulator.wire import WireError, bad_request

EMULATED = ("command", "pipeline")
NODES = (*EMULATED, "sweep")
_BOUND = re.compile(r"\$\{\{\s*parent\.(inputs|outputs|jobs)\.(\w+)(?:\.(inputs|outputs)\.(\w+))?\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_INPUT = re.compile(r"\$\{\{\s*inputs\.(\w+)(?:\.path)?\s*\}\}")
_VERSION = re.compile(
    r"(?:azureml:)?(?:.*/workspaces/[^/]+/components/)?([^/:]+)(?:/versions/|:)([^/:]+)", re.IGNORECASE
)
_MODES = {
    "ro_mount": "ReadOnlyMount", "rw_mount": "ReadWriteMount", "download": "Download", "upload": "Upload",
    "direct": "Direct", "eval_mount": "EvalMount", "eval_download": "EvalDownload",
}  # fmt: skip
_FILES = frozenset(("uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"))
Spec = Mapping[str, Any]


@frozen
class Source:
    """What an input is given: a text, an address, or a place that other steps write."""

    value: str = ""
    uri: str = ""
    type: str = "literal"
    mode: str = ""
    after: frozenset[str] = frozenset()


@frozen
class Step:
    """One node: its path among the others, its id as a run, and, but of a pipeline, the command that it runs.

    `after` are the paths of the steps that it waits for; `search` is what a sweep tries, with how.
    """

    path: str
    id: str
    kind: str
    module: str
    command: Mapping[str, Any] = field(factory=dict)
    outputs: Mapping[str, str] = field(factory=dict)
    after: tuple[str, ...] = ()
    search: Mapping[str, Any] = field(factory=dict)


@frozen
class Scope:
    """Where a pipeline's own inputs come from, where its outputs go, and where its steps run by default."""

    inputs: Mapping[str, Source]
    outputs: Mapping[str, str]
    compute: str = ""
    prefix: str = ""
    after: frozenset[str] = frozenset()


class Graph:
    """Expands pipelines; `find` returns the specification of a component, and `place` the address of a path."""

    def __init__(self, job: str, find: Callable[[str], Spec], place: Callable[[str], str]) -> None:
        self._job = job
        self._find = find
        self._place = place

    def steps(self, properties: Spec) -> list[Step]:
        """Return every step of a job, a pipeline before those in it; the service's refusal of one that cannot be."""
        inputs = {name: _source(entry) for name, entry in (properties.get("inputs") or {}).items()}
        outputs = {name: self._own(self._job, name, entry) for name, entry in (properties.get("outputs") or {}).items()}
        settings = properties.get("settings") or {}
        compute = str(settings.get("default_compute") or properties.get("computeId") or "")
        found = list(self._expanded(properties.get("jobs") or {}, Scope(inputs, outputs, compute)))
        if not found:
            raise bad_request("a pipeline needs 'jobs', and here are none", "ValidationError")
        _check_order(found)
        return found

    def _expanded(self, nodes: Spec, scope: Scope) -> Iterator[Step]:
        places = {name: self._outputs(name, node, scope) for name, node in nodes.items()}
        for name, node in nodes.items():
            yield from self._node(name, node, scope, places)

    def _node(self, name: str, node: Spec, scope: Scope, places: Mapping[str, Mapping[str, str]]) -> Iterator[Step]:
        spec, kind = self._spec(name, node), str(node.get("type") or "command")
        path = f"{scope.prefix}{name}"
        given = {
            key: self._bound(f"{path}.{key}", entry, scope, places) for key, entry in (node.get("inputs") or {}).items()
        }
        self._check_inputs(path, spec, given, searched=node.get("search_space") or {})
        after = scope.after.union(*(source.after for source in given.values()))
        if kind == "pipeline":
            own = {**_defaults(spec), **given}
            inner = Scope(own, places[name], str(node.get("computeId") or scope.compute), f"{path}.", after)
            inside = list(self._expanded(spec.get("jobs") or {}, inner))
            module = str(spec.get("name") or name)
            yield Step(path, step_id(self._job, path), kind, module, outputs=places[name], after=tuple(sorted(after)))
            yield from inside
            return
        command = self._command(node, spec, given, places[name], scope)
        search = {
            key: node[key]
            for key in ("search_space", "objective", "limits", "sampling_algorithm", "early_termination")
            if key in node
        }
        yield Step(
            path,
            step_id(self._job, path),
            kind,
            str(spec.get("name") or name),
            command,
            places[name],
            tuple(sorted(after)),
            search if kind == "sweep" else {},
        )

    def _spec(self, name: str, node: Spec) -> Spec:
        kind = str(node.get("type") or "command")
        if kind not in NODES:
            raise WireError(501, "EmulatorUnhandled", f"not emulated: nodes of the type {kind!r} ({name!r})")
        trial = node.get("trial")
        given = (trial or {}).get("componentId") if kind == "sweep" and isinstance(trial, Mapping) else None
        given = given or node.get("componentId")
        if isinstance(given, Mapping):
            return given
        return self._find(str(given or ""))

    def _outputs(self, name: str, node: Spec, scope: Scope) -> dict[str, str]:
        """Return where each output of a node lies in storage: where the pipeline wants it, or below the run's id."""
        identity = step_id(self._job, f"{scope.prefix}{name}")
        found: dict[str, str] = {}
        given = node.get("outputs") or {}
        for output in self._spec(name, node).get("outputs") or {}:
            entry = given.get(output) or {}
            bound = _BOUND.fullmatch(str(entry.get("value", "")))
            if bound and bound[1] == "outputs":
                if bound[2] not in scope.outputs:
                    raise bad_request(f"{name}.{output} is bound to {entry['value']}, which the pipeline does not have")
                found[output] = scope.outputs[bound[2]]
            else:
                found[output] = self._own(identity, output, entry)
        return found

    def _own(self, identity: str, output: str, entry: Any) -> str:
        uri = str((entry or {}).get("uri") or "").replace("${{name}}", identity).replace("${{output_name}}", output)
        uri = uri.replace("${{default_datastore}}", "workspaceblobstore")
        return uri or self._place(f"azureml/{identity}/{output}")

    def _bound(self, what: str, entry: Any, scope: Scope, places: Mapping[str, Mapping[str, str]]) -> Source:
        source = _source(entry)
        found = _BOUND.fullmatch(source.value)
        if found is None:
            return source
        mode = source.mode
        if found[1] == "inputs":
            if found[2] not in scope.inputs:
                raise bad_request(f"{what} is bound to {source.value}, which the pipeline does not have")
            inner = scope.inputs[found[2]]
            return Source(inner.value, inner.uri, inner.type, mode or inner.mode, inner.after)
        if found[1] == "jobs" and found[3] == "outputs" and found[4] in places.get(found[2], {}):
            path = f"{scope.prefix}{found[2]}"
            return Source(uri=places[found[2]][found[4]], type="", mode=mode, after=frozenset((path,)))
        raise bad_request(f"{what} is bound to {source.value}, and there is no such output")

    def _check_inputs(self, path: str, spec: Spec, given: Mapping[str, Source], *, searched: Spec) -> None:
        declared = spec.get("inputs") or {}
        for name in given:
            if name not in declared:
                raise bad_request(f"input {path}.{name} is not an input of {spec.get('name')}", "ValidationError")
        for name, entry in declared.items():
            needed = not entry.get("optional") and entry.get("default") is None
            if needed and name not in given and name not in searched:
                raise bad_request(f"required input {path}.{name} is missing", "ValidationError")

    def _command(
        self, node: Spec, spec: Spec, given: Mapping[str, Source], outputs: Mapping[str, str], scope: Scope
    ) -> dict[str, Any]:
        """Return the step as the body of a command job."""
        declared = spec.get("inputs") or {}
        searched = node.get("search_space") or {}
        sources = {**_defaults(spec), **given}
        inputs = {name: _told(source, declared[name]) for name, source in sources.items() if name not in searched}
        there = {*inputs, *searched}
        resources = {**(spec.get("resources") or {}), **(node.get("resources") or {})}
        distribution = node.get("distribution") or spec.get("distribution")
        limits = node.get("limits") or {}
        modes = {name: (node.get("outputs") or {}).get(name) or {} for name in outputs}
        compute = str(node.get("computeId") or scope.compute)
        bound = _BOUND.fullmatch(compute)
        if bound and bound[1] == "inputs" and bound[2] in scope.inputs:
            compute = scope.inputs[bound[2]].value
        kinds = spec.get("outputs") or {}
        return {
            "jobType": "Command",
            "command": _searched(_rendered(str(spec.get("command") or ""), there), searched),
            "codeId": _plain(spec.get("code")) or None,
            "environmentId": _plain(node.get("environment") or spec.get("environment")),
            "computeId": compute,
            "inputs": inputs,
            "outputs": {
                name: {
                    "jobOutputType": str(kinds[name].get("type") or "uri_folder"),
                    "mode": _mode(modes[name].get("mode") or kinds[name].get("mode")) or "ReadWriteMount",
                    "uri": uri,
                }
                for name, uri in outputs.items()
            },
            "environmentVariables": {
                **(spec.get("environment_variables") or {}), **(node.get("environment_variables") or {})
            },
            "resources": {
                "instanceCount": int(resources.get("instance_count") or 1),
                **({"shmSize": resources["shm_size"]} if resources.get("shm_size") else {}),
            },
            "distribution": _distribution(distribution),
            "limits": {"timeout": f"PT{int(limits['timeout'])}S"} if limits.get("timeout") else {},
        }  # fmt: skip


def step_id(job: str, path: str) -> str:
    """Return the id of a step's run, the same every time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job}/{path}"))


def component_version(identity: str) -> tuple[str, str] | None:
    """Return the name and the version that an id of a component means.

    >>> component_version("/subscriptions/s/resourceGroups/g/providers/p/workspaces/w/components/prep/versions/1")
    ('prep', '1')
    >>> component_version("azureml:prep:2")
    ('prep', '2')
    """
    found = _VERSION.fullmatch(identity)
    return (found[1], found[2]) if found else None


def _rendered(command: str, there: set[str]) -> str:
    """Return the command with its optional parts, those alone whose inputs are there."""

    def part(found: re.Match[str]) -> str:
        return found[1] if all(name in there for name in _INPUT.findall(found[1])) else ""

    return _OPTIONAL.sub(part, command)


def _searched(command: str, space: Spec) -> str:
    """Return the command of a sweep's trial with what is searched marked as such, as in a sweep job of its own."""
    return _INPUT.sub(lambda found: f"${{{{search_space.{found[1]}}}}}" if found[1] in space else found[0], command)


def _plain(identity: Any) -> str:
    """Return the id of an asset without the word that the SDK puts before it."""
    text = str(identity or "")
    return text if text.startswith("azureml://") else text.removeprefix("azureml:")


def _defaults(spec: Spec) -> dict[str, Source]:
    return {
        name: Source(str(entry["default"]))
        for name, entry in (spec.get("inputs") or {}).items()
        if entry.get("default") is not None
    }


def _source(entry: Any) -> Source:
    if not isinstance(entry, Mapping):
        return Source(str(entry))
    kind = str(entry.get("job_input_type") or entry.get("jobInputType") or "literal").lower()
    uri, mode = str(entry.get("uri") or ""), _mode(entry.get("mode"))
    return Source("" if entry.get("value") is None else str(entry["value"]), uri, kind if uri else "literal", mode)


def _told(source: Source, declared: Spec) -> dict[str, Any]:
    if not source.uri:
        return {"jobInputType": "literal", "value": source.value}
    wanted = str(declared.get("type") or "")
    kind = source.type or (wanted if wanted in _FILES else "uri_folder")
    mode = source.mode or _mode(declared.get("mode"))
    return {"jobInputType": kind, "uri": source.uri, **({"mode": mode} if mode else {})}


def _mode(given: Any) -> str:
    return _MODES.get(str(given), str(given)) if given else ""


def _distribution(given: Any) -> dict[str, Any] | None:
    if not given:
        return None
    kind = str(given.get("distribution_type") or given.get("type") or "")
    named = {"pytorch": "PyTorch", "mpi": "Mpi", "tensorflow": "TensorFlow", "ray": "Ray"}.get(kind.lower(), kind)
    count = given.get("process_count_per_instance")
    return {"distributionType": named, **({"processCountPerInstance": int(count)} if count else {})}


def _check_order(steps: list[Step]) -> None:
    """Refuse steps that wait for each other."""
    waits = {step.path: {*step.after} for step in steps if step.kind != "pipeline"}
    done: set[str] = set()
    while waits:
        ready = [path for path, after in waits.items() if not any(_within(other, after) for other in waits)]
        if not ready:
            raise bad_request(f"the steps {', '.join(sorted(waits))} wait for each other", "ValidationError")
        done.update(ready)
        waits = {path: after for path, after in waits.items() if path not in done}


def _within(path: str, after: set[str]) -> bool:
    """Whether a step is one that is waited for, or is inside one."""
    return any(path == one or path.startswith(f"{one}.") for one in after)
