"""Step 2: whether a compute can tune a model, and making one that can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from azft.domain.compute import Compute, ComputeSize
from azft.domain.findings import Finding
from azft.domain.model import Model
from azft.domain.offers import Advice, Prices
from azft.domain.parameters import Parameters
from azft.domain.trainers import Trainer
from azft.errors import ComputeError
from azft.ledger import Ledger
from azft.ports import ComputeSource
from azft.rules.advice import advise
from azft.rules.compute import compute_findings
from azft.rules.costs import after_training, work_of
from azft.rules.forecast import sequence_limit
from azft.rules.quotas import quota_findings
from azft.snapshot import list_prices, published_speeds


class ComputeMaker:
    """Makes clusters; the ledger knows of each before the backend does."""

    def __init__(self, backend: ComputeSource, ledger: Ledger, *, name: str) -> None:
        self._backend = backend
        self._ledger = ledger
        self._name = name

    def create(self, name: str, size: str, *, max_nodes: int = 1, tier: str = "Dedicated") -> Compute:
        """Return the cluster; one that is there already is returned as it is where it fits, and is not ours."""
        known = self._backend.find_compute(name)
        if known is not None:
            return self._backend.create_compute(name, size, max_nodes=max_nodes, tier=tier)
        with self._ledger.making("compute", name, self._name) as intent:
            return self._backend.create_compute(name, size, max_nodes=max_nodes, tier=tier, tags=intent.tags)


class ComputeValidator:
    """Checks a compute for a model and says everything that is wrong with it at once; `day` is today without."""

    def __init__(self, backend: ComputeSource, *, day: date | None = None) -> None:
        self._backend = backend
        self._day = day or datetime.now(UTC).date()

    def findings(self, name: str, model: Model, *, nodes: int = 1, gpus: int | None = None) -> tuple[Finding, ...]:
        """Return every reason why the compute cannot tune the model, and what is worth a warning.

        Existence, state, size, allow-list, least size, GPUs for each node, nodes, tier, and the core quota.
        """
        return self._look(name, model, nodes, gpus)[1]

    def validate(self, name: str, model: Model, *, nodes: int = 1, gpus: int | None = None) -> Compute:
        """Return the compute; `ComputeError` with all findings if one of them is an error."""
        compute, findings = self._look(name, model, nodes, gpus)
        if compute is None or any(finding.severity == "error" for finding in findings):
            raise ComputeError(f"compute {name!r} cannot tune {model.name}", findings)
        return compute

    def suggest(
        self,
        model: Model,
        parameters: Parameters,
        *,
        nodes: int = 1,
        tokens: float = 0.0,
        rows: int = 0,
        prices: Mapping[str, float] | None = None,
        region: str = "",
        sizes: Sequence[ComputeSize] | None = None,
        trainer: Trainer | None = None,
        test_rows: int | None = None,
    ) -> Advice:
        """Return the machine sizes on offer, best first: what fits, then the cheapest, and why the others lost.

        `tokens` is the mean length of a row, and `rows` how many are trained on over all epochs; with both, the
        cheapest is so for the whole job, and else for an hour. `prices`, by size for one node and hour, take the place
        of the region's dated list that ships with azft, and `sizes` that of what the backend offers. `trainer` is what
        trains, and `test_rows` are held out, on which azft's engine and scripts compare in the same job.
        """
        offered = self._backend.list_sizes() if sizes is None else sizes
        known = list_prices(region) if prices is None else Prices(prices)
        usage = self._backend.usage()
        limit = sequence_limit(model, parameters)
        after = after_training(trainer or Trainer(), model, parameters, tokens_per_row=tokens, rows=test_rows)
        work = work_of(rows, tokens, nodes, limit, after)
        return advise(offered, usage, model, parameters, work=work, prices=known, published=published_speeds())

    def _look(
        self, name: str, model: Model, nodes: int, gpus: int | None
    ) -> tuple[Compute | None, tuple[Finding, ...]]:
        compute = self._backend.find_compute(name)
        findings = compute_findings(name, compute, model, nodes=nodes, gpus=gpus, day=self._day)
        if compute is None:
            return None, findings
        return compute, (*findings, *quota_findings(compute, self._backend.usage(), nodes=nodes))
