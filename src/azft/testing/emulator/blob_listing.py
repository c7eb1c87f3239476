"""How the blob service describes a blob, in headers and in the XML of a listing."""

from __future__ import annotations

import base64
from email.utils import formatdate
from xml.etree import ElementTree

from azft.testing.emulator.blobs import Blob, Blobs

VERSION = "2023-11-03"
MOST_LISTED = 5000


def listing(blobs: Blobs, container: str, query: dict[str, str]) -> bytes:
    """Return one page of a container's blobs as XML."""
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("marker", "")
    most = min(int(query.get("maxresults") or MOST_LISTED), MOST_LISTED)
    root = ElementTree.Element("EnumerationResults", ContainerName=container)
    ElementTree.SubElement(root, "Prefix").text = prefix
    ElementTree.SubElement(root, "Marker").text = marker
    if "maxresults" in query:
        ElementTree.SubElement(root, "MaxResults").text = str(most)
    listed = ElementTree.SubElement(root, "Blobs")
    entries = _entries(blobs.names(container, prefix), prefix, delimiter)
    rest = [entry for entry in entries if entry >= marker]
    for entry in rest[:most]:
        if delimiter and entry.endswith(delimiter):
            ElementTree.SubElement(ElementTree.SubElement(listed, "BlobPrefix"), "Name").text = entry
        elif (blob := blobs.get(container, entry)) is not None:
            _append(listed, blob, metadata="metadata" in query.get("include", ""))
    ElementTree.SubElement(root, "NextMarker").text = rest[most] if len(rest) > most else ""
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def describing(blob: Blob) -> dict[str, str]:
    """Return the headers that describe a blob."""
    return {
        "ETag": blob.etag,
        "Last-Modified": formatdate(blob.modified, usegmt=True),
        "Content-Type": blob.content_type,
        "Content-MD5": blob.md5 or base64.b64encode(b"").decode(),
        "x-ms-blob-type": "BlockBlob",
        "x-ms-version": VERSION,
        **{f"x-ms-meta-{name}": value for name, value in blob.metadata.items()},
    }


def _entries(names: list[str], prefix: str, delimiter: str) -> list[str]:
    if not delimiter:
        return names
    entries = dict.fromkeys(
        prefix + head + (delimiter if found else "")
        for name in names
        for head, found, _rest in [name.removeprefix(prefix).partition(delimiter)]
    )
    return sorted(entries)


def _append(listed: ElementTree.Element, blob: Blob, *, metadata: bool) -> None:
    element = ElementTree.SubElement(listed, "Blob")
    ElementTree.SubElement(element, "Name").text = blob.name
    properties = ElementTree.SubElement(element, "Properties")
    for name, value in {**describing(blob), "Content-Length": str(blob.size), "BlobType": "BlockBlob"}.items():
        if not name.startswith("x-ms"):
            ElementTree.SubElement(properties, {"ETag": "Etag"}.get(name, name)).text = value.strip('"')
    if metadata:
        about = ElementTree.SubElement(element, "Metadata")
        for name, value in blob.metadata.items():
            ElementTree.SubElement(about, name).text = value
