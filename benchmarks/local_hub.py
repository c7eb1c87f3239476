"""A Hugging Face hub on loopback: datasets in folders, answered as the hub answers, with faults on request."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "1" * 40
FAULTS = ("429", "503", "drop", "cut", "short")
"""Too many requests, unavailable, no answer, an answer that ends early, and one that is short without a word."""


class LocalHub:
    """Serves `folder/OWNER/NAME/...`; `faults` are met by the next requests for files, one each.

    `sent` counts the bytes of files, `requests` has every request line. Give `endpoint` to HF_ENDPOINT.
    """

    def __init__(self, folder: Path, faults: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.faults = deque(faults)
        self.sent = 0
        self.requests: list[str] = []
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LocalHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def files(self, repo: str) -> list[dict[str, Any]]:
        """Return what the hub says of each file of a dataset."""
        root = self.folder / repo
        return [_described(root, path) for path in sorted(root.rglob("*")) if path.is_file()]

    def card(self, repo: str) -> dict[str, Any] | None:
        """Return the metadata of the dataset's card: JSON between the two lines of dashes, which is YAML too."""
        readme = self.folder / repo / "README.md"
        if not readme.exists():
            return None
        found: dict[str, Any] = json.loads(readme.read_text(encoding="utf-8").split("---\n")[1])
        return found


def _described(root: Path, path: Path) -> dict[str, Any]:
    name, size = path.relative_to(root).as_posix(), path.stat().st_size
    oid = hashlib.sha256(f"{name} {size} {path.stat().st_mtime_ns}".encode()).hexdigest()
    return {"type": "file", "path": name, "rfilename": name, "size": size, "oid": oid[:40], "blobId": oid[:40]}


class _Handler(BaseHTTPRequestHandler):
    owner: LocalHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        given = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        repo = self._repo()
        wanted = set(json.loads(given)["paths"]) if given.startswith(b"{") else set(parse_qs(given.decode())["paths"])
        self._json([file for file in self.owner.files(repo) if file["path"] in wanted])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        self.owner.requests.append(format % args)

    def _repo(self) -> str:
        parts = urlsplit(self.path).path.removeprefix("/api").split("/")
        return "/".join(parts[2:4])

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        repo = self._repo()
        if not (self.owner.folder / repo).is_dir():
            self._fail(404, {"X-Error-Code": "RepoNotFound"})
        elif "/resolve/" in path:
            self._file(self.owner.folder / repo / path.split("/resolve/")[1].partition("/")[2], body=body)
        elif "/tree/" in path:
            below = path.split("/tree/")[1].partition("/")[2]
            self._json([file for file in self.owner.files(repo) if file["path"].startswith(below)])
        else:
            self._json(
                {
                    "id": repo,
                    "sha": COMMIT,
                    "siblings": self.owner.files(repo),
                    "cardData": self.owner.card(repo),
                    "tags": [],
                    "private": False,
                    "gated": False,
                    "disabled": False,
                }
            )

    def _file(self, path: Path, *, body: bool) -> None:
        if not path.is_file():
            return self._fail(404, {"X-Error-Code": "EntryNotFound"})
        fault = self.owner.faults.popleft() if body and self.owner.faults else ""
        if fault in ("429", "503"):
            return self._fail(int(fault), {})
        if fault == "drop":
            self.close_connection = True
            return None
        size = path.stat().st_size
        start, stop = 0, size
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1, size) if last else size
        self.send_response(206 if wanted else 200)
        told = max(1, (stop - start) // 2) if fault == "short" else stop - start
        self.send_header("Content-Length", str(told))
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("ETag", f'"{hashlib.sha256(str(path).encode()).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            with path.open("rb") as file:
                file.seek(start)
                given = file.read(told // 2 if fault == "cut" else told)
            self.wfile.write(given)
            self.owner.sent += len(given)
            self.close_connection = fault == "cut"
        return None

    def _json(self, value: Any) -> None:
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _fail(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
