"""Outputs of jobs that become assets once the job has completed, as each was given a name (azure.ai.ml.Output)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

MODELS = frozenset({"custom_model", "mlflow_model", "triton_model"})
"""Types of outputs that become models; every other one is data."""


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
