"""Fixtures: a small run that many tests look at, and small sources."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from azft import FineTuned, FineTuneSession, PreparedData
from azft.testing.contract import SAMPLE
from tests.workspaces import _prepared, backend, emulator, model, session, workspace

__all__ = ["_prepared", "backend", "emulator", "model", "session", "workspace"]
"""Fixtures of the tests against Azure."""

collect_ignore = ["notebook_flow.py", "sdk_flow.py", "mlflow_flow.py"]
"""Programs of their own, run against the emulator."""
Conversation = dict[str, list[dict[str, str]]]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test's own, so that nothing lands in the checkout, on a terminal of no known width."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def _own_deployment() -> Iterator[None]:
    """Forget the deployment that was called last: the SDK keeps its name, and sends it with every later call."""
    yield
    fields = sys.modules.get("azure.ai.ml.constants._endpoint")
    if fields is not None:
        fields.EndpointInvokeFields.DEFAULT_HEADER.pop("azureml-model-deployment", None)


@pytest.fixture(autouse=True)
def _own_tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the server and the experiment that MLflow was told of: it keeps each in its module and in a variable."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    for module, name in (("_tracking_service.utils", "_tracking_uri"), ("fluent", "_active_experiment_id")):
        if (told := sys.modules.get(f"mlflow.tracking.{module}")) is not None:
            setattr(told, name, None)


def rows_of(path: Path) -> list[Any]:
    """Return the values of a JSONL file."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def in_any_order(rows: Iterable[Any]) -> list[bytes]:
    """Return what two lists share that hold the same rows, in whatever order these and their keys are."""
    return sorted(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) for row in rows)


def everything(data: PreparedData) -> list[Any]:
    """Return the rows of the three files."""
    return [row for file in (data.train, data.validation, data.test) for row in rows_of(file.path)]


def conversation(question: str = "Hi", answer: str = "Hello") -> Conversation:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Write rows (or raw bytes) as lines of a file."""

    def write(*rows: object, name: str = "chats.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join((row if isinstance(row, bytes) else orjson.dumps(row)) + b"\n" for row in rows))
        return path

    return write


@pytest.fixture(scope="session")
def small_session(tmp_path_factory: pytest.TempPathFactory) -> FineTuneSession:
    """Return a session that tunes on 8 % of the sample for one epoch."""
    return FineTuneSession(
        dataset=SAMPLE,
        percent=8,
        parameters={"num_train_epochs": 1, "logging_steps": 1},
        folder=tmp_path_factory.mktemp("session") / ".azft",
        progress=False,
    )


@pytest.fixture(scope="session")
def tuned(small_session: FineTuneSession) -> Iterator[FineTuned]:
    """Give what that session's run brought."""
    yield small_session.run()
    small_session.cleanup(everything=True)
