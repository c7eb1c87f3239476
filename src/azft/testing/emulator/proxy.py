"""The CONNECT proxy: leads the emulated hosts to the emulator, and refuses and records every other one."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable
from pathlib import Path

HTTPS = "443"
LONGEST_HEAD = 16 * 1024
_CHUNK = 1 << 16


class Proxy:
    """A proxy on loopback; without its key it leads nowhere."""

    def __init__(
        self, target: Path, *, key: str, allowed: Callable[[str], bool], refused: Callable[[str], None]
    ) -> None:
        self._target = target
        self._wanted = b"Basic " + base64.b64encode(f"azft:{key}".encode())
        self._allowed = allowed
        self._refused = refused
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Begin to listen and return the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LONGEST_HEAD)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            writer.close()
        if self._serving:
            await asyncio.wait(self._serving, timeout=1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is None:
            return
        self._serving.add(task)
        self._open.add(writer)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()
            self._open.discard(writer)
            self._serving.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, target, *_ = [*first.split(b" "), b"", b""]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        place = target.decode("ascii", "replace")
        host, _, port = place.rpartition(":") if method == b"CONNECT" else (place, "", HTTPS)
        if not hmac.compare_digest(headers.get(b"proxy-authorization", b""), self._wanted):
            await _refuse(writer, b"407 Proxy Authentication Required", b'Proxy-Authenticate: Basic realm="azft"')
            return
        if method != b"CONNECT" or port != HTTPS or not self._allowed(host):
            self._refused(host)
            await _refuse(writer, b"403 Forbidden", b"X-Reason: this host is not emulated")
            return
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._target))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _refuse(writer: asyncio.StreamWriter, status: bytes, header: bytes) -> None:
    writer.write(b"HTTP/1.1 %s\r\n%s\r\nContent-Length: 0\r\n\r\n" % (status, header))
    await writer.drain()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while block := await source.read(_CHUNK):
            sink.write(block)
            await sink.drain()
    except OSError:
        return
    finally:
        sink.close()
