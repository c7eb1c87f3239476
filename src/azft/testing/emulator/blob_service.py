"""The blob service's wire: the calls azure-storage-blob makes to upload, look, list, download and delete."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from email.utils import formatdate
from pathlib import Path
from xml.etree import ElementTree

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from azft.testing.emulator.blob_listing import VERSION, describing, listing
from azft.testing.emulator.blobs import Blob, Blobs
from azft.testing.emulator.world import CODE

_CHUNK = 1 << 18
LONGEST_NAME = 1024
"""Characters of a blob's name (Naming and referencing containers, blobs, and metadata)."""
_BLOCK = re.compile(rb"<(?:Latest|Uncommitted|Committed)>([^<]*)</")


class BlobService:
    """Answers for one storage account; with `keys` it takes signatures, and always what `bearer` says to be a token."""

    def __init__(
        self,
        blobs: Blobs,
        containers: frozenset[str],
        *,
        keys: bool = True,
        bearer: Callable[[Mapping[str, str]], bool] = lambda _headers: False,
    ) -> None:
        self._blobs = blobs
        self._containers = containers
        self._keys = keys
        self._bearer = bearer

    async def answer(self, request: Request) -> Response:
        """Answer one request; bodies are streamed both ways."""
        container, _, name = request.path_params["path"].partition("/")
        query = dict(request.query_params)
        refusal = self._refused(request, container, query) or self._badly_named(name)
        if refusal is None and name:
            refusal = self._changed(request, container, name)
        if refusal is not None:
            return refusal
        component = query.get("comp", "")
        if not name:
            return await run_in_threadpool(self._container, request.method, container, query)
        if request.method in {"GET", "HEAD"} and not component:
            return await run_in_threadpool(self._read, request, container, name)
        if request.method == "DELETE":
            known = await run_in_threadpool(self._blobs.delete, container, name)
            return _done(202) if known else _no_blob(name)
        if request.method == "PUT":
            put = self._receive if component in {"", "block"} else self._change
            return await put(request, container, name, component)
        return _refusal(501, "EmulatorUnhandled", f"not emulated: {request.method} of a blob with comp={component!r}")

    def _changed(self, request: Request, container: str, name: str) -> Response | None:
        """Return the refusal of a condition that does not hold."""
        wanted = request.headers.get("if-match", "")
        known = self._blobs.get(container, name)
        if not wanted or (known is not None and wanted in {"*", known.etag}):
            return None
        return _refusal(412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")

    def _badly_named(self, name: str) -> Response | None:
        if len(name) <= LONGEST_NAME:
            return None
        return _refusal(400, "InvalidUri", f"the name of a blob has at most {LONGEST_NAME} characters")

    def _refused(self, request: Request, container: str, query: dict[str, str]) -> Response | None:
        if self._bearer(request.headers):
            pass
        elif "sig" in query and not self._keys:
            said = "Key based authentication is not permitted on this storage account."
            return _refusal(403, "KeyBasedAuthenticationNotPermitted", said)
        elif not self._blobs.allows(container, query):
            return _refusal(403, "AuthenticationFailed", "the signature is missing, wrong or expired")
        if container not in self._containers and not container.startswith(CODE):
            return _refusal(404, "ContainerNotFound", f"no container {container}")
        return None

    async def _change(self, request: Request, container: str, name: str, component: str) -> Response:
        metadata = _metadata(request)
        if component == "metadata":
            blob = await run_in_threadpool(self._blobs.set_metadata, container, name, metadata)
            return _done(200, blob) if blob else _no_blob(name)
        if component == "blocklist":
            blocks = _block_list(await request.body())
            blob = await run_in_threadpool(self._blobs.commit, container, name, blocks, _kind(request), metadata)
            return _done(201, blob) if blob else _refusal(400, "InvalidBlockList", "a block was never staged")
        return _refusal(501, "EmulatorUnhandled", f"not emulated: PUT of a blob with comp={component!r}")

    async def _receive(self, request: Request, container: str, name: str, component: str) -> Response:
        if not component and request.headers.get("x-ms-blob-type") != "BlockBlob":
            return _refusal(501, "EmulatorUnhandled", "not emulated: blobs other than block blobs")
        if not component and request.headers.get("if-none-match") == "*" and self._blobs.get(container, name):
            return _refusal(409, "BlobAlreadyExists", f"blob {name} exists")
        written = self._blobs.scratch(container)
        try:
            await _receive(request.stream(), written)
        except ClientDisconnect:
            # Nobody waits for the answer; half of a blob is none.
            written.unlink(missing_ok=True)
            return _refusal(400, "IncompleteBody", f"the client left while it sent {name}")
        if component == "block":
            block = request.query_params.get("blockid", "")
            await run_in_threadpool(self._blobs.stage, container, name, block, written)
            return _done(201)
        kept = await run_in_threadpool(self._blobs.keep, container, name, written, _kind(request), _metadata(request))
        return _done(201, kept)

    def _read(self, request: Request, container: str, name: str) -> Response:
        blob = self._blobs.get(container, name)
        if blob is None:
            return _no_blob(name, head=request.method == "HEAD")
        headers = describing(blob)
        asked = request.headers.get("x-ms-range") or request.headers.get("range", "")
        first, last = _range(asked, blob.size)
        if first >= blob.size and asked:
            return _refusal(416, "InvalidRange", f"{asked} of {blob.size} bytes")
        headers["Content-Length"] = str(last - first + 1)
        if asked:
            headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
            headers["x-ms-blob-content-md5"] = headers.pop("Content-MD5")
        status = 206 if asked else 200
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        content = _bytes(self._blobs.path(container, name), first, last - first + 1)
        return StreamingResponse(content, status, headers)

    def _container(self, method: str, container: str, query: dict[str, str]) -> Response:
        if query.get("restype") != "container":
            return _refusal(501, "EmulatorUnhandled", "not emulated: this request of a container")
        if query.get("comp") == "list" and method == "GET":
            return self._list(container, query)
        if method == "PUT" and not query.get("comp"):
            return _refusal(409, "ContainerAlreadyExists", f"container {container} exists")
        if method in {"GET", "HEAD"} and not query.get("comp"):
            return _done(200)
        return _refusal(501, "EmulatorUnhandled", f"not emulated: {method} of a container")

    def _list(self, container: str, query: dict[str, str]) -> Response:
        body = listing(self._blobs, container, query)
        return Response(body, 200, {"x-ms-version": VERSION}, media_type="application/xml")


async def _receive(stream: AsyncIterator[bytes], target: Path) -> None:
    with target.open("wb") as file:
        async for chunk in stream:
            file.write(chunk)


def _bytes(path: Path, first: int, count: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        while count > 0 and (block := file.read(min(_CHUNK, count))):
            count -= len(block)
            yield block


def _range(asked: str, size: int) -> tuple[int, int]:
    begin, _, end = asked.removeprefix("bytes=").partition("-")
    first = int(begin) if begin.isdecimal() else 0
    last = min(int(end), size - 1) if end.isdecimal() else size - 1
    return first, last


def _metadata(request: Request) -> dict[str, str]:
    start = "x-ms-meta-"
    return {name.removeprefix(start): value for name, value in request.headers.items() if name.startswith(start)}


def _block_list(body: bytes) -> list[str]:
    """Return the ids in order; a list of base64 texts needs no XML parser, and so fears no hostile XML."""
    return [found.decode("ascii", "replace") for found in _BLOCK.findall(body)]


def _done(status: int, blob: Blob | None = None) -> Response:
    known = {} if blob is None else {"ETag": blob.etag, "Last-Modified": formatdate(blob.modified, usegmt=True)}
    return Response(
        status_code=status, headers={"x-ms-version": VERSION, "x-ms-request-server-encrypted": "false", **known}
    )


def _kind(request: Request) -> str:
    return request.headers.get("x-ms-blob-content-type", "application/octet-stream")


def _no_blob(name: str, *, head: bool = False) -> Response:
    return _refusal(404, "BlobNotFound", f"no blob {name}", head=head)


def _refusal(status: int, code: str, message: str, *, head: bool = False) -> Response:
    error = ElementTree.Element("Error")
    ElementTree.SubElement(error, "Code").text = code
    ElementTree.SubElement(error, "Message").text = message
    body = b"" if head else ElementTree.tostring(error, encoding="utf-8", xml_declaration=True)
    headers = {"x-ms-error-code": code, "x-ms-version": VERSION}
    return Response(body, status, headers, media_type="application/xml")
