"""Outputs of jobs that become assets once the job has completed, as each was given a name (azure.ai.ml.Output)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import frozen

from azft.errors import AzftError
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import WireError
from azft.testing.emulator.world import World

MODELS = frozenset({"custom_model", "mlflow_model", "triton_model"})
"""Types of outputs that become models; every other one is data."""
EXPECTED = "naming"
"""Jobs that have such outputs, and have not ended yet as far as anybody knows."""
_log = logging.getLogger("azft.emulator")


@frozen
class NamedOutput:
    """An output of a job, or of a node of a pipeline, and the asset that it becomes; the next one without a version."""

    node: str
    output: str
    type: str
    name: str
    version: str

    @property
    def of_models(self) -> bool:
        """Whether the asset is a model, and no data."""
        return self.type in MODELS


def named_outputs(properties: Mapping[str, Any]) -> Iterator[NamedOutput]:
    """Yield the outputs of a job, and of the nodes at its top, that have a name.

    >>> list(named_outputs({"outputs": {"o": {"assetName": "made", "jobOutputType": "mlflow_model"}, "p": {}}}))
    [NamedOutput(node='', output='o', type='mlflow_model', name='made', version='')]
    """
    nodes = properties.get("jobs") or {}
    places = {"": properties.get("outputs"), **{name: (node or {}).get("outputs") for name, node in nodes.items()}}
    for node, outputs in places.items():
        for output, given in (outputs or {}).items():
            told = given if isinstance(given, Mapping) else {}
            # A pipeline's nodes come as a client writes them, in several spellings (azure-ai-ml).
            name = told.get("assetName") or told.get("asset_name") or (told.get("name") if node else "")
            version = told.get("assetVersion") or told.get("asset_version") or (told.get("version") if node else "")
            kind = told.get("jobOutputType") or told.get("job_output_type") or "uri_folder"
            if name:
                yield NamedOutput(node, output, str(kind), str(name), str(version or ""))


class OutputAssets:
    """Makes assets of the outputs that have a name; `find`, `status` and `path` tell of jobs and where outputs lie."""

    def __init__(
        self,
        world: World,
        find: Callable[[str], Document | None],
        status: Callable[[Document], str],
        path: Callable[[Document, NamedOutput], str],
    ) -> None:
        self._world = world
        self._find = find
        self._status = status
        self._path = path
        self._lock = threading.RLock()
        self._settles = False
        self.register: Callable[[NamedOutput, str, str], None] = lambda _output, _job, _path: None

    def expect(self, name: str, properties: Mapping[str, Any]) -> None:
        """Remember a job that has begun, if an output of it has a name."""
        if any(named_outputs(properties)):
            self._world.state.put(EXPECTED, name, {"name": name})

    def settle(self) -> None:
        """Register the outputs of every job that has completed by now; nobody who asks for assets comes before that."""
        with self._lock:
            if self._settles:  # Registering one asks for its versions, and so comes here again.
                return
            self._settles = True
            try:
                for name in self._world.state.names(EXPECTED):
                    self._settle(name)
            finally:
                self._settles = False

    def _settle(self, name: str) -> None:
        document = self._find(name)
        status = "" if document is None else self._status(document)
        if document is not None and status == "Completed":
            for output in named_outputs(document["properties"]):
                try:
                    self.register(output, name, self._path(document, output))
                except (AzftError, WireError, ValueError, OSError) as error:
                    _log.warning("job %s: output %s does not become %s: %s", name, output.output, output.name, error)
        if status in {"", "Completed", "Failed", "Canceled"}:
            self._world.state.delete(EXPECTED, name)
