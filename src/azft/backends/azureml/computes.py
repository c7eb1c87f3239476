"""Clusters, serverless machine types, sizes and quotas."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import evolve

from azft.backends.azureml.client import Clients, word
from azft.backends.azureml.errors import absent, done_away, translated
from azft.backends.azureml.internals import raw_compute
from azft.backends.azureml.machines import problems_of, quota_row, size_of, withdrawn
from azft.backends.azureml.saying import readable, status_code
from azft.domain.compute import SERVERLESS, Compute, ComputeSize, Usage, machines, plain_region
from azft.domain.findings import Finding
from azft.domain.resource import Leftover, Resource
from azft.errors import BackendError, ComputeError, ConfigurationError, NameTakenError, NotOursError
from azft.rules.marks import TOKEN, is_ours
from azft.rules.quotas import cluster_findings, quota_findings, read_usage
from azft.snapshot import taken, virtual_machines
from azft.waiting import looked_for

CLUSTER = "amlcompute"
MOST_NODES = 100
"""Serverless machines have no cluster that limits them; the quota does."""
TIERS = {"dedicated": "Dedicated", "lowpriority": "LowPriority"}
_FORBIDDEN = 403
_NAME = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-\d+$)[a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")
"""Of a cluster (how-to-create-attach-compute-cluster; the pattern of 2025-01-01-preview)."""


class AzureComputes:
    """The machines of a workspace. A name such as "Standard_NC24ads_A100_v4" means serverless machines of that size."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._sizes: tuple[ComputeSize, ...] = ()
        self._unread: dict[str, str] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> Compute | None:
        """Return the cluster, or serverless machines; None only when Azure says that there is none of that name."""
        if not name:
            return None
        if name.lower().startswith("standard_"):
            size = self.size(name)
            if size is None:
                return None
            return evolve(machines(SERVERLESS, size, nodes=MOST_NODES), region=self._clients.region)
        found = self._raw(name)
        if found is None:
            return None
        with translated(f"compute {name!r}"):
            return self._read(found)

    def size(self, name: str) -> ComputeSize | None:
        """Return the machine size of that name, whatever its case."""
        return next((size for size in self.sizes() if size.name.lower() == name.lower()), None)

    def sizes(self) -> Sequence[ComputeSize]:
        """Return the sizes of the workspace's region; asked once.

        Who may not read them (the list belongs to the subscription) gets those of azft's dated table.
        """
        from azure.core.exceptions import HttpResponseError

        with self._lock, translated("machine sizes"):
            if not self._sizes:
                try:
                    self._sizes = tuple(size_of(entry) for entry in self._clients.workspace.compute.list_sizes())
                except HttpResponseError as error:
                    if status_code(error) != _FORBIDDEN:
                        raise
                    self._unread["machine sizes"] = readable(error)
                    self._sizes = tuple(withdrawn(known.name) for known in virtual_machines())
            return self._sizes

    def usage(self) -> Sequence[Usage]:
        """Return the core quotas of the region, with what is used of each; none where nobody may read them."""
        from azure.core.exceptions import HttpResponseError

        with translated("quotas"):
            try:
                rows = self._clients.workspace.compute.list_usage(location=self._clients.region)
                return read_usage([quota_row(entry) for entry in rows])
            except HttpResponseError as error:
                if status_code(error) != _FORBIDDEN:
                    raise
                self._unread["quotas"] = readable(error)
                return ()

    def unread(self) -> tuple[Finding, ...]:
        """Return what could not be read with the roles at hand, and which role would do."""
        stands = {
            "machine sizes": f"those of {taken()} stand in",
            "quotas": "whether there are enough cores is unknown",
        }
        return tuple(
            Finding(
                "AZFT-Q004",
                "warning",
                what,
                f"they cannot be read ({said}); {stands[what]}",
                fix="ask for the role 'Reader' on the subscription: both belong to it, and not to the workspace",
            )
            for what, said in sorted(self._unread.items())
        )

    def create(
        self, name: str, size: str, *, max_nodes: int, tier: str, tags: Mapping[str, str] | None = None
    ) -> Compute:
        """Create a cluster that scales down to nothing; LowPriority only if that is the word given.

        One of that name that fits is returned as it is. Errors: `NameTakenError` for one that does not, `ComputeError`
        where the quota has no room for one machine of it.
        """
        from azure.ai.ml.entities import AmlCompute

        kind = TIERS.get(tier.replace("_", "").lower())
        if kind is None:
            raise ConfigurationError(f"tier {tier!r}, expected 'Dedicated' or 'LowPriority'")
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{name!r} cannot name a cluster",
                hint="3 to 24 letters, digits and '-', beginning with a letter, and not ending in '-' and digits",
            )
        if max_nodes < 1:
            raise ConfigurationError(f"max_nodes is {max_nodes}, expected 1 or more")
        with ThreadPoolExecutor(2, thread_name_prefix="azft-compute") as pool:
            looked, quotas = pool.submit(self.find, name), pool.submit(self.usage)
            known = self.size(size)
        if known is None:
            raise ConfigurationError(f"{size!r} is no machine size of {self._clients.region}", hint="see list_sizes()")
        there = looked.result()
        if there is not None:
            return _fitting(there, known, max_nodes=max_nodes, tier=kind)
        wanted = machines(name, known, nodes=max_nodes, tier=kind)
        usage = quotas.result()
        # A low-priority cluster is refused where there is no quota at all, and otherwise its jobs wait.
        asked = wanted if kind == "Dedicated" else evolve(wanted, cores=min(wanted.cores, 1))
        found = (*cluster_findings(name, usage), *quota_findings(asked, usage))
        if any(finding.severity == "error" for finding in found):
            raise ComputeError(f"cluster {name!r} cannot be made", found)
        cluster = AmlCompute(
            name=name,
            size=known.name,
            tier={"Dedicated": "dedicated", "LowPriority": "low_priority"}[kind],
            min_instances=0,
            max_instances=max_nodes,
            location=self._clients.region,
            tags=dict(tags or {}),
        )
        with translated(f"creating compute {name!r}"):
            made = self._clients.workspace.compute.begin_create_or_update(cluster).result()
        return machines(made.name, known, nodes=max_nodes, state=word(made.provisioning_state), tier=kind)

    def delete(self, name: str, token: str) -> None:
        """Delete a cluster; one that is gone is fine, one that somebody else made is left."""
        found = looked_for(lambda: self._raw(name))
        if found is None:
            return
        if not is_ours(found.tags, token):
            raise NotOursError(f"compute {name} was made by somebody else, so it is left")
        with translated(f"deleting compute {name!r}"):
            client = self._clients.workspace
            done_away(
                f"compute {name!r}",
                lambda: client.compute.begin_delete(name).wait(),
                lambda: raw_compute(client, name),
            )

    def leftovers(self) -> Iterator[Leftover]:
        """Yield every cluster that bears our marks, with the machines that it holds now."""
        with translated("listing computes"):
            found = [(str(made.name), made.tags or {}) for made in self._clients.workspace.compute.list()]
        for name, tags in found:
            raw = self._raw(name) if TOKEN in tags else None
            if raw is None:
                continue
            made = self._read(raw)
            created = getattr(raw.properties, "created_on", None)
            since = created.timestamp() if created else 0.0
            resource = Resource("compute", name, "azureml", str(tags[TOKEN]))
            yield Leftover(resource, made.state, since, made.size, made.nodes or 0)

    def waiting_for(self, name: str) -> str:
        """Return why a job may wait for a cluster: what it holds, what it does, and the errors it tells."""
        found = self._raw(name)
        if found is None:
            return f"there is no cluster {name!r} any more"
        made = self._read(found)
        inner = found.properties.properties
        doing = word(getattr(inner, "allocation_state", None) or "state not told")
        nodes = "?" if made.nodes is None else made.nodes
        said = f"cluster {name}: {nodes} of {made.max_nodes} machines, {doing}"
        return f"{said}; it tells: {'; '.join(made.problems)}" if made.problems else said

    def _raw(self, name: str) -> Any:
        with translated(f"compute {name!r}"):
            found = absent(lambda: (raw_compute(self._clients.workspace, name),))
            if found == (None,):
                raise BackendError(f"compute {name!r}: the service's answer is empty", hint="try again in a minute")
            return None if found is None else found[0]

    def _read(self, found: Any) -> Compute:
        properties = found.properties
        if properties is None:
            raise BackendError(f"compute {found.name}: the service says nothing of it", hint="try again in a minute")
        inner = getattr(properties, "properties", None)
        named = str(getattr(inner, "vm_size", "") or "")
        size = (self.size(named) or withdrawn(named)) if named else ComputeSize("", 0, 0, 0.0)
        scale = getattr(inner, "scale_settings", None)
        most, least = (getattr(scale, f"{end}_node_count", None) for end in ("max", "min"))
        kind = word(getattr(properties, "compute_type", None) or "AmlCompute")
        tier = word(getattr(inner, "vm_priority", None) or "Dedicated").replace("_", "")
        made = machines(
            str(found.name),
            size,
            nodes=1 if most is None else int(most),
            state=word(properties.provisioning_state),
            tier=TIERS.get(tier.lower(), tier),
        )
        nodes = getattr(inner, "current_node_count", None)
        region = str(getattr(properties, "compute_location", None) or getattr(found, "location", "") or "")
        return evolve(
            made,
            size=size.name or ("unknown" if kind.lower() != CLUSTER else ""),
            kind="" if kind.lower() == CLUSTER else kind,
            problems=tuple(dict.fromkeys(problems_of(properties))),
            nodes=None if nodes is None else int(nodes),
            region=region,
            min_nodes=int(least or 0),
            elsewhere=bool(region) and plain_region(region) != plain_region(self._clients.region),
        )


def _fitting(there: Compute, size: ComputeSize, *, max_nodes: int, tier: str) -> Compute:
    same = (there.size.lower(), there.tier, there.kind) == (size.name.lower(), tier, "")
    if same and there.max_nodes >= max_nodes:
        return there
    raise NameTakenError(
        f"there is a compute {there.name!r} already ({there.kind or there.size}, {there.tier}, up to {there.max_nodes}"
        f" nodes), and it does not fit ({size.name}, {tier}, {max_nodes} nodes)",
        hint="choose another name, or take that one as it is: compute=NAME",
    )
