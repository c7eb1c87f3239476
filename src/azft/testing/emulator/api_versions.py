"""The api-versions that Microsoft publishes for each kind of resource, none of which is refused here.

Taken from the specification's own index (azure-rest-api-specs, machinelearningservices/resource-manager/readme.md and
main.tsp, 2026-11-26) and the types generated from it (bicep-types-az at 1f896de); a test compares them with the latter.
"""

from __future__ import annotations

import re

ALL: tuple[str, ...] = (
    "2018-03-01-preview", "2018-11-19", "2019-05-01", "2019-06-01", "2019-11-01", "2020-01-01", "2020-02-18-preview",
    "2020-03-01", "2020-04-01-preview", "2020-04-01", "2020-05-01-preview", "2020-05-15-preview", "2020-06-01",
    "2020-08-01", "2020-09-01-preview", "2021-01-01", "2021-03-01-preview", "2021-04-01", "2021-07-01",
    "2022-01-01-preview", "2022-02-01-preview", "2022-05-01", "2022-06-01-preview", "2022-10-01-preview", "2022-10-01",
    "2022-12-01-preview", "2023-02-01-preview", "2023-04-01-preview", "2023-04-01", "2023-06-01-preview",
    "2023-08-01-preview", "2023-10-01", "2024-01-01-preview", "2024-04-01-preview", "2024-04-01", "2024-07-01-preview",
    "2024-10-01-preview", "2024-10-01", "2025-01-01-preview", "2025-04-01-preview", "2025-04-01", "2025-06-01",
    "2025-07-01-preview", "2025-09-01", "2025-10-01-preview", "2025-12-01", "2026-01-15-preview", "2026-03-01",
    "2026-03-15-preview", "2026-05-01", "2026-05-15-preview", "2026-07-01", "2026-07-15-preview", "2026-09-01",
)  # fmt: skip
"""Of the provider Microsoft.MachineLearningServices."""
_WITHOUT_JOBS = {"2021-04-01", "2021-07-01", "2022-01-01-preview"}
_JOBS = [version for version in ALL if version >= "2021-03-01" and version not in _WITHOUT_JOBS]
"""Of jobs, assets, endpoints and datastores: those that have the specification mfe.json."""
_FIRST = {"components": "2022-02-01-preview", "schedules": "2022-06-01-preview"}
"""The first version of what came later."""
_KINDS = ("jobs", "data", "models", "environments", "codes", "components", "datastores", "schedules", "onlineEndpoints",
          "batchEndpoints")  # fmt: skip
_KIND = re.compile(r"/workspaces/\{workspace\}/(\w+)")
DATA_PLANE_VERSIONS = ("", "v1.0")
"""Of run history and registry discovery: clients before azure-ai-ml 1.33 send none, as theirs had none."""


def arm_versions(path: str) -> tuple[str, ...]:
    """Return the versions that are published for the resources below a path of Azure Resource Manager.

    >>> "2024-07-01-preview" in arm_versions("/workspaces/{workspace}/datastores/{name}")
    True
    >>> "2021-04-01" in arm_versions("/workspaces/{workspace}/jobs"), "2021-04-01" in arm_versions("/workspaces")
    (False, True)
    """
    found = _KIND.search(path)
    kind = found[1] if found else ""
    if kind not in _KINDS:
        return ALL
    more = ["2020-05-01-preview"] if kind == "datastores" else []
    return (*more, *(version for version in _JOBS if version >= _FIRST.get(kind, "")))
