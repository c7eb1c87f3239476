"""Blob storage: one suite for the emulator's and for Azurite, Microsoft's own emulator, so that their answers agree."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContainerClient, ContentSettings

from azft.testing.emulator import AzureMLEmulator
from azft.testing.emulator.world import CONTAINER

AZURITE = Path(__file__).parents[1] / ".ci" / "node" / "node_modules" / ".bin" / "azurite-blob"
DEVELOPMENT = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1"
)
"""The account that every Azurite has; its key is published by Microsoft."""
SMALL: dict[str, Any] = {
    "max_single_put_size": 1024,
    "max_block_size": 1024,
    "max_single_get_size": 2048,
    "max_chunk_get_size": 1024,
}


def _code(error: HttpResponseError) -> Any:
    return vars(error)["error_code"]


class BlobContract:
    """What the SDK does with blobs."""

    def test_bytes_come_back_with_their_properties(self, container: Any) -> None:
        blob = container.get_blob_client("a/b.txt")
        blob.upload_blob(b"hello", content_settings=ContentSettings(content_type="text/plain"), metadata={"one": "1"})
        found = blob.get_blob_properties()
        assert (found.size, found.content_settings.content_type, found.metadata) == (5, "text/plain", {"one": "1"})
        assert found.blob_type == "BlockBlob"
        assert found.last_modified is not None
        assert blob.download_blob().readall() == b"hello"

    def test_an_empty_blob_is_one(self, container: Any) -> None:
        container.upload_blob("empty", b"")
        assert container.download_blob("empty").readall() == b""
        assert container.get_blob_client("empty").get_blob_properties().size == 0

    def test_what_is_there_is_not_overwritten_unasked(self, container: Any) -> None:
        container.upload_blob("x", b"1")
        with pytest.raises(ResourceExistsError) as raised:
            container.upload_blob("x", b"2", overwrite=False)
        assert _code(raised.value) == "BlobAlreadyExists"
        container.upload_blob("x", b"3", overwrite=True)
        assert container.download_blob("x").readall() == b"3"

    def test_what_is_absent_is_not_found(self, container: Any) -> None:
        blob = container.get_blob_client("absent")
        assert not blob.exists()
        for ask in (blob.get_blob_properties, blob.download_blob, blob.delete_blob, lambda: blob.set_blob_metadata({})):
            with pytest.raises(ResourceNotFoundError):
                ask()

    def test_a_deleted_blob_is_gone(self, container: Any) -> None:
        container.upload_blob("x", b"1")
        container.delete_blob("x")
        assert list(container.list_blob_names()) == []

    def test_metadata_is_replaced(self, container: Any) -> None:
        blob = container.upload_blob("x", b"1", metadata={"a": "1"})
        before = blob.get_blob_properties().etag
        blob.set_blob_metadata({"b": "2"})
        assert blob.get_blob_properties().metadata == {"b": "2"}
        assert blob.get_blob_properties().etag != before

    @pytest.mark.parametrize(("offset", "length"), [(0, 3), (4, 2), (7, 100), (9, None)])
    def test_a_part_can_be_read(self, container: Any, offset: int, length: int | None) -> None:
        container.upload_blob("x", b"0123456789")
        end = None if length is None else offset + length
        assert container.download_blob("x", offset=offset, length=length).readall() == b"0123456789"[offset:end]

    def test_a_part_beyond_the_end_is_refused(self, container: Any) -> None:
        container.upload_blob("x", b"0123456789")
        with pytest.raises(HttpResponseError) as raised:
            container.download_blob("x", offset=20, length=5)
        assert raised.value.status_code == 416

    def test_large_content_goes_and_comes_in_pieces(self, container: Any) -> None:
        content = bytes(range(256)) * 100
        container.upload_blob("large", content, length=len(content), metadata={"k": "v"})
        assert container.download_blob("large").readall() == content
        assert container.get_blob_client("large").get_blob_properties().metadata == {"k": "v"}

    def test_staged_blocks_are_no_blob_until_they_are_committed_in_order(self, container: Any) -> None:
        blob = container.get_blob_client("x")
        for name, content in (("bbbb", b"second"), ("aaaa", b"first ")):
            blob.stage_block(name, content)
        assert not blob.exists()
        blob.commit_block_list([BlobBlock("aaaa"), BlobBlock("bbbb")])
        assert blob.download_blob().readall() == b"first second"

    def test_a_block_that_was_never_staged_cannot_be_committed(self, container: Any) -> None:
        blob = container.get_blob_client("x")
        blob.stage_block("aaaa", b"1")
        with pytest.raises(HttpResponseError) as raised:
            blob.commit_block_list([BlobBlock("aaaa"), BlobBlock("zzzz")])
        assert _code(raised.value) == "InvalidBlockList"
        assert not blob.exists()

    def test_a_folder_and_a_blob_may_share_a_name(self, container: Any) -> None:
        container.upload_blob("a", b"1")
        container.upload_blob("a/b", b"2")
        assert list(container.list_blob_names()) == ["a", "a/b"]
        assert [container.download_blob(name).readall() for name in ("a", "a/b")] == [b"1", b"2"]

    @pytest.mark.parametrize("name", ["with space.txt", "ünï/cödé.txt", "100%.txt", "a#b?c&d.txt", "x@y/z", "a.b/c.d"])
    def test_any_name_is_legal(self, container: Any, name: str) -> None:
        container.upload_blob(name, b"1", metadata={"k": "v"})
        assert [(blob.name, blob.metadata) for blob in container.list_blobs(include=["metadata"])] == [
            (name, {"k": "v"})
        ]
        assert container.download_blob(name).readall() == b"1"

    def test_names_are_listed_by_prefix_in_order_and_by_pages(self, container: Any) -> None:
        for name in ("b/2", "b/1", "a", "b/sub/3", "c"):
            container.upload_blob(name, b"x")
        assert list(container.list_blob_names(name_starts_with="b/")) == ["b/1", "b/2", "b/sub/3"]
        assert {item.name for item in container.walk_blobs(name_starts_with="b/")} == {"b/1", "b/2", "b/sub/"}
        pages = [[blob.name for blob in page] for page in container.list_blobs(results_per_page=2).by_page()]
        assert pages == [["a", "b/1"], ["b/2", "b/sub/3"], ["c"]]


class TestEmulatedBlobs(BlobContract):
    """The emulator's own storage."""

    @pytest.fixture
    def container(self, tmp_path: Path) -> Iterator[Any]:
        """Give an empty container, under a signature as the service hands out."""
        with AzureMLEmulator(tmp_path / "azure") as emulator:
            world = emulator.world
            address = f"https://{world.account}.blob.core.windows.net"
            with ContainerClient(address, CONTAINER, credential=world.blobs.sas(CONTAINER), **SMALL) as client:
                yield client

    def test_without_a_genuine_signature_nothing_is_told(self, tmp_path: Path) -> None:
        with AzureMLEmulator(tmp_path / "azure") as emulator:
            world = emulator.world
            for signature in ("", world.blobs.sas(CONTAINER)[:-3] + "AAA", world.blobs.sas(CONTAINER, hours=-1)):
                address = f"https://{world.account}.blob.core.windows.net"
                with (
                    ContainerClient(address, CONTAINER, credential=signature or None) as client,
                    pytest.raises(HttpResponseError) as raised,
                ):
                    client.upload_blob("x", b"1")
                assert raised.value.status_code == 403

    def test_a_name_never_leaves_the_folder(self, tmp_path: Path) -> None:
        with AzureMLEmulator(tmp_path / "azure") as emulator:
            blobs = emulator.world.blobs
            blobs.write(CONTAINER, "p/../../../escaped", b"1")
            blobs.write(CONTAINER, "p/good", b"2")
            folder = blobs.link(CONTAINER, "p", tmp_path / "out")
            assert [path.name for path in folder.rglob("*") if path.is_file()] == ["good"]
            assert all("azure" in path.parts for path in tmp_path.rglob("escaped"))


@pytest.mark.azurite
class TestAzurite(BlobContract):
    """The same against Azurite."""

    @pytest.fixture(scope="class")
    @classmethod
    def address(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        """Start Azurite on a free port of loopback."""
        assert AZURITE.exists(), "npm install --prefix .ci/node azurite@3.35.0"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["--blobPort", str(port), "--location", str(tmp_path_factory.mktemp("azurite"))]
        flags = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        process = subprocess.Popen([str(AZURITE), *options, *flags])
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield DEVELOPMENT.format(port=port)
        finally:
            process.terminate()
            process.wait()

    @pytest.fixture
    def container(self, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
        """Give an empty container."""
        name = f"c{abs(hash(request.node.name))}"
        with ContainerClient.from_connection_string(address, name, **SMALL) as client:
            client.create_container()
            yield client
