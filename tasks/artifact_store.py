"""Artifacts below one address, a folder or s3://bucket/prefix: listed, read with a checksum, written (fsspec)."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import fsspec

from ner.errors import NerError

PIECE = 1 << 20  # bytes


class ArtifactStore:
    """Files by their path relative to the address. Raises NerError where the store cannot be reached."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        with store_errors(self.address):
            self._fs, self._root = fsspec.core.url_to_fs(self.address)
        if self.address.startswith("file://"):  # fsspec leaves %20 as it is
            self._root = url2pathname(urlsplit(self.address).path)
        self._root = self._root.rstrip("/")

    def files(self) -> dict[str, int]:
        """Every file's size in bytes, by its sorted relative path."""
        with store_errors(self.address):
            self._fs.invalidate_cache()
            if not self._fs.exists(self._root):
                return {}
            found = self._fs.find(self._root, detail=True)
        return {name[len(self._root) + 1 :]: found[name]["size"] for name in sorted(found)}

    def open(self, path: str) -> Any:
        """A stream of the file's bytes."""
        with store_errors(self.address):
            return self._fs.open(f"{self._root}/{path}", "rb")

    def write(self, path: str, source: BinaryIO) -> None:
        """Write a file from a stream."""
        target = f"{self._root}/{path}"
        with store_errors(self.address):
            self._fs.makedirs(self._fs._parent(target), exist_ok=True)
            with self._fs.open(target, "wb") as sink:
                shutil.copyfileobj(source, sink, PIECE)

    def sha256(self, path: str) -> str:
        """Hex sha256 of what is read back."""
        with self.open(path) as stream, store_errors(self.address):
            return digest(stream)


def digest(stream: BinaryIO) -> str:
    """Hex sha256 of the rest of a stream."""
    found = hashlib.sha256()
    while piece := stream.read(PIECE):
        found.update(piece)
    return found.hexdigest()


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Turn what the AWS libraries raise into one sentence; a full disk and the like pass on."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, PermissionError, FileNotFoundError) as error:
        if not address.startswith("s3://"):
            raise
        raise NerError(
            f"the artifact store {address} refuses or cannot be reached ({str(error).rstrip('.')[:200]}): check its "
            "bucket, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from error
