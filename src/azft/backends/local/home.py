"""Where the local backend keeps things."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import field, frozen

from azft.errors import ConfigurationError, NotFoundError

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


_ILLEGAL = "%?#\n\r\0"
"""Characters that mean something else in the address of a store: MLflow would look for it in another place."""


def _absolute(path: str | Path) -> Path:
    found = Path(path).absolute()
    wrong = sorted(set(str(found)) & set(_ILLEGAL))
    if wrong:
        raise ConfigurationError(
            f"folder {str(found)!r} holds {', '.join(map(repr, wrong))}, which MLflow's store cannot have in its path",
            hint="give folder= another place",
        )
    return found


@frozen
class Home:
    """The folder (`.azft` by default) that holds runs, endpoints, and the MLflow store."""

    root: Path = field(converter=_absolute)

    def run(self, run_id: str) -> Path:
        """Return the folder of a run; an id that could be a path is refused."""
        return self.runs / _checked(run_id, "run")

    def endpoint(self, name: str) -> Path:
        """Return the folder of an endpoint."""
        return self.endpoints / _checked(name, "endpoint")

    @property
    def runs(self) -> Path:
        """Where the runs' folders are."""
        return self.root / "runs"

    @property
    def endpoints(self) -> Path:
        """Where the endpoints' folders are."""
        return self.root / "endpoints"

    @property
    def weights(self) -> Path:
        """Where weights that had to be dequantised are kept, for the next run."""
        return self.root / "weights"

    @property
    def tracking_uri(self) -> str:
        """The address of the embedded MLflow store, for `mlflow ui --backend-store-uri`."""
        return f"sqlite:///{self.database}"

    @property
    def database(self) -> Path:
        """The file of that store."""
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Where MLflow keeps files."""
        return self.root / "mlartifacts"


def _checked(name: str, noun: str) -> str:
    if not _ID.fullmatch(name):
        raise NotFoundError(f"{noun} {name!r} cannot exist", hint="ids are lower-case letters, digits and '-'")
    return name
