"""The process of the real MLflow server: its own application over the local backend's store, on a socket file."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from azft.backends.local.home import Home
from azft.backends.local.tracking import Tracking

MIRROR = "/azft/mirror"
"""Where the emulator says how its jobs stand, before it hands a question on."""
PARENT_EVERY = 1.0
_SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost",
}


def main(root: Path, socket_file: Path) -> None:
    """Serve until the process is ended."""
    home = Home(root)
    tracking = Tracking(home)
    os.environ.update(_SETTINGS)
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = os.environ["_MLFLOW_SERVER_REGISTRY_STORE"] = home.tracking_uri
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = home.artifacts.as_uri()
    import uvicorn
    from mlflow.server.fastapi_app import app

    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    uvicorn.Server(uvicorn.Config(_with_mirror(app, tracking), uds=str(socket_file), log_level="error")).run()


def _end_with(parent: int) -> None:
    """End when the emulator does, also if it is killed and cannot say so."""
    while os.getppid() == parent:
        time.sleep(PARENT_EVERY)
    os._exit(0)


def _with_mirror(app: Any, tracking: Tracking) -> Any:
    """Return an application that mirrors jobs at one path and is MLflow's at every other."""
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != MIRROR:
            await app(scope, receive, send)
            return
        runs = await Request(scope, receive).json()
        known = {run.pop("azure_id"): await run_in_threadpool(tracking.mirror, **run) for run in runs}
        await JSONResponse(known)(scope, receive, send)

    return application


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
