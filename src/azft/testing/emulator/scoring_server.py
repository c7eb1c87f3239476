"""The process of a deployment with a scoring script or an MLflow model, as Azure's containers run it, on a socket file.

A scoring script has `init()`, called once, and `run(data)`, which gets a request's body as text and returns what JSON
can hold (how-to-deploy-online-endpoints); what it returns is answered as JSON, a text too.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azft.testing.emulator.user_script import load_script

SCRIPT, MLFLOW = "script", "mlflow"
READY = "ready"
"""The line that says so."""
PARENT_EVERY = 1.0
Answer = Callable[[str], Any]


def main(kind: str, source: Path, socket_file: Path) -> None:
    """Serve until the process is ended; a model that cannot be loaded ends it at once, with its reason in the log."""
    import uvicorn

    answer = load_script(source) if kind == SCRIPT else _model(source)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    print(READY, flush=True)  # noqa: T201 - the log is read for it
    uvicorn.Server(uvicorn.Config(_application(answer), uds=str(socket_file), log_level="warning")).run()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_EVERY)
    os._exit(0)


def _application(answer: Answer) -> Any:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def score(request: Request) -> Response:
        body = (await request.body()).decode("utf-8", "replace")
        try:
            found = json.dumps(await run_in_threadpool(answer, body), default=_plain)
        except Exception as error:  # noqa: BLE001 - whatever a user's script raises is told in the log and the answer
            traceback.print_exc()
            sys.stderr.flush()
            return Response(f"{type(error).__name__}: {error}", 500, media_type="text/plain")
        sys.stdout.flush()
        return Response(found, 200, media_type="application/json")

    return Starlette(routes=[Route("/score", score, methods=["POST"])])


def _plain(value: Any) -> Any:
    """Return what JSON can hold of numbers and tables of the usual libraries."""
    for name in ("tolist", "to_dict", "item"):
        if hasattr(value, name):
            return getattr(value, name)()
    raise TypeError(f"{type(value).__name__} is not what JSON can hold")


def _model(folder: Path) -> Answer:
    import mlflow.pyfunc
    import pandas as pd

    model = mlflow.pyfunc.load_model(str(folder))

    def answer(body: str) -> Any:
        given = json.loads(body)["input_data"]
        table = isinstance(given, dict) and "data" in given
        return model.predict(pd.DataFrame(given["data"], given.get("index"), given.get("columns")) if table else given)

    return answer


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
