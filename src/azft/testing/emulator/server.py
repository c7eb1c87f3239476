"""One thread with an event loop: the application under TLS on a socket file, and the proxy that leads to it."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azft.errors import BackendError
from azft.testing.emulator.proxy import Proxy

READY_WITHIN = 10.0


class Server:
    """Serves an ASGI application under many host names until stopped."""

    def __init__(
        self,
        application: Any,
        context: ssl.SSLContext,
        socket_file: Path,
        *,
        key: str,
        allowed: Callable[[str], bool],
        refused: Callable[[str], None],
    ) -> None:
        self._application = application
        self._context = context
        self._socket_file = socket_file
        self._proxy = Proxy(socket_file, key=key, allowed=allowed, refused=refused)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="azft-emulator", daemon=True)
        self._inner: Any = None
        self.port = 0

    def start(self) -> int:
        """Start, and return the proxy's port once both listen."""
        self._thread.start()
        if not self._ready.wait(READY_WITHIN):
            raise BackendError("the emulator did not start", hint="is the disk full?")
        return self.port

    def stop(self) -> None:
        """Stop both and wait for the thread."""
        self._inner.should_exit = True
        self._inner.force_exit = True
        self._thread.join(READY_WITHIN)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        import uvicorn

        config = uvicorn.Config(
            self._application,
            uds=str(self._socket_file),
            log_level="error",
            lifespan="off",
            timeout_keep_alive=60,
            ws="none",
            server_header=False,
            ssl_context_factory=lambda _config, _default: self._context,
        )
        self._inner = uvicorn.Server(config)
        serving = asyncio.create_task(self._inner.serve())
        while not self._inner.started and not serving.done():
            await asyncio.sleep(0.005)
        self.port = await self._proxy.start()
        self._ready.set()
        await serving
        await self._proxy.stop()
