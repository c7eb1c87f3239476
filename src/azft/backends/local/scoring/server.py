"""The endpoint's process: bind loopback, load the model, say so, answer until told to stop."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import orjson

from azft.backends.local.holding import SERVER, held
from azft.backends.local.launch import received_secrets
from azft.backends.local.marks import MARKS
from azft.files import write_whole
from azft.processes import started

KEY = "key"
"""What the key is called among the secrets on standard input."""
PROCESS = "process.json"
"""In the endpoint's folder: who the process is, written before it loads its model."""

KEEP_ALIVE = 15
"""Seconds for which a connection may idle between two requests."""


def main(folder: Path, model_folder: Path, model: str, port: int) -> None:
    """Serve until SIGTERM; `ready.json` or `failure.txt` appears in the folder once it is known which.

    An endpoint that was deleted while this process started is not served.
    """
    key = received_secrets()[KEY]
    with held(folder / SERVER, MARKS, within=5) as there:
        if not there:
            return
        write_whole(folder / PROCESS, orjson.dumps({"pid": os.getpid(), "started": started()}))
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            write_whole(folder / "failure.txt", f"port {port} of 127.0.0.1 cannot be used: {error.strerror}".encode())
            return
        import uvicorn

        from azft.backends.local.scoring.app import build_app
        from azft.backends.local.scoring.connections import BoundedProtocol
        from azft.backends.local.scoring.generator import Generator

        app = build_app(Generator(model_folder), model=model, key=key)
        listener.listen(128)
        ready = {"port": listener.getsockname()[1], "pid": os.getpid()}
        write_whole(folder / "ready.json", orjson.dumps(ready))
        config = uvicorn.Config(
            app, log_level="warning", http=BoundedProtocol, timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=5
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
