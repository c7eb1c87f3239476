"""What the emulator remembers: one JSON document a thing, in folders by kind, so that another emulator carries on."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import orjson

from azft.files import write_whole

Document = dict[str, Any]
_SUFFIX = ".json"
LONGEST = 180
"""Characters of a file's name that every disk takes, its ending apart."""


class State:
    """Documents by kind and name; a name is quoted, so it can never be a path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, kind: str, name: str) -> Document | None:
        """Return the document, or None."""
        path = self._path(kind, name)
        if not path.is_file():
            return None
        found: Document = orjson.loads(path.read_bytes())
        return found

    def put(self, kind: str, name: str, document: Document) -> Document:
        """Keep the document under that name and return it."""
        path = self._path(kind, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, orjson.dumps(document))
        return document

    def delete(self, kind: str, name: str) -> bool:
        """Forget the document and return whether there was one."""
        path = self._path(kind, name)
        known = path.is_file()
        path.unlink(missing_ok=True)
        return known

    def names(self, kind: str, prefix: str = "") -> list[str]:
        """Return the names of a kind that begin with `prefix`, in order."""
        found = (self.folder / kind).glob(f"*{_SUFFIX}")
        names = (unquote(path.name.removesuffix(_SUFFIX)) for path in found if not path.name.startswith("."))
        return sorted(name for name in names if name.startswith(prefix))

    def all(self, kind: str, prefix: str = "") -> Iterator[Document]:
        """Yield the documents of a kind whose name begins with `prefix`, by name."""
        for name in self.names(kind, prefix):
            document = self.get(kind, name)
            if document is not None:
                yield document

    def _path(self, kind: str, name: str) -> Path:
        quoted = quote(name, safe="").replace(".", "%2E")
        if len(quoted) > LONGEST:
            # No disk takes such a name, and a digest of it tells it apart as well.
            quoted = f"{quoted[: LONGEST // 2]}-{sha256(quoted.encode()).hexdigest()}"
        return self.folder / kind / (quoted + _SUFFIX)
