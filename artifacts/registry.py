"""One way to read releases, wherever they are: a layout on this machine or a server."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Callable, Optional, Tuple, Type

from typing_extensions import Protocol

from artifacts import layout
from artifacts.digest import digest_bytes
from artifacts.errors import DamagedBlob, LayoutError
from artifacts.files import storage_errors
from artifacts.reference import Reference
from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.store import Blob, ContentStore

# Called with how many bytes of one blob are here so far; it may fall back when a download has to start over.
Progress = Callable[[int], None]


class Registry(Protocol):
    """One repository of releases. Use it as a context manager, or close it."""

    def resolve(self, name: str) -> Tuple[str, bytes]:
        """Find a release, or one chip's manifest.

        Args:
            name: A tag or a digest.

        Returns:
            The digest, computed here, and the bytes of the index or manifest that it names.

        Raises:
            UnknownTag: Nothing there has this name.
            RegistryError: The registry cannot be read.
        """

    def read(self, blob: Blob, limit: int) -> bytes:
        """Read a small blob or a chip's manifest into memory.

        Args:
            blob: Which.
            limit: The most bytes to accept.

        Returns:
            Its bytes, which hash to its digest.

        Raises:
            LayoutError: It has more than so many bytes.
            StoreError: It is missing or damaged.
            RegistryError: The registry cannot be read.
        """

    def fetch(self, blob: Blob, store: ContentStore, progress: Optional[Progress] = None) -> Path:
        """Bring a blob into a store; one that is there is hashed again and kept.

        Args:
            blob: Which.
            store: Where to.
            progress: Called with how many of its bytes are here so far.

        Returns:
            Where it lies in the store.

        Raises:
            NoSpace: The file system is full, or would be.
            StoreError: The bytes cannot be read or written.
            RegistryError: The registry cannot be read.
        """

    def tags(self) -> Tuple[str, ...]:
        """Return the tags of releases, sorted; those of single chips are left out."""

    def has_moved(self, name: str, digest: str) -> bool:
        """Ask cheaply whether a tag names something else than it did; `resolve` then tells what.

        Args:
            name: A tag.
            digest: What it named.

        Raises:
            UnknownTag: Nothing there has this name any more.
        """

    def close(self) -> None:
        """Give back what is held."""

    def __enter__(self) -> Registry: ...

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None: ...


class LayoutRegistry:
    """The releases of an OCI image layout on this machine.

    Args:
        root: The layout's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._store = layout.store_of(root)

    def resolve(self, name: str) -> Tuple[str, bytes]:
        """See `Registry.resolve`."""
        return layout.resolve(self._root, name)

    def read(self, blob: Blob, limit: int) -> bytes:
        """See `Registry.read`."""
        if blob.size > limit:
            raise LayoutError(f"{blob.digest} has {blob.size} bytes, more than the {limit} that are accepted.")
        path = self._store.path(blob)
        with path.open("rb") as stream:
            data = stream.read(blob.size + 1)
        if len(data) != blob.size or digest_bytes(data) != blob.digest:
            raise self._damaged(blob, path, f"it does not hold the {blob.size} bytes that it should")
        return data

    def fetch(self, blob: Blob, store: ContentStore, progress: Optional[Progress] = None) -> Path:
        """See `Registry.fetch`."""
        if not store.is_sound(blob):
            source = self._store.path(blob)
            # Before copying: a file without end would fill the disk.
            if source.stat().st_size != blob.size:
                raise self._damaged(blob, source, f"it has {source.stat().st_size} bytes instead of {blob.size}")
            with storage_errors(store.root), store.scratch("fetch") as folder:
                copy = folder / "copy"
                shutil.copyfile(source, copy)
                try:
                    store.adopt(copy, blob)
                except DamagedBlob as error:
                    raise self._damaged(blob, source, error.reason) from None
        if progress is not None:
            progress(blob.size)
        return store.path(blob)

    def tags(self) -> Tuple[str, ...]:
        """See `Registry.tags`."""
        return tuple(sorted(layout.tags(self._root)))

    def has_moved(self, name: str, digest: str) -> bool:
        """See `Registry.has_moved`."""
        return self.resolve(name)[0] != digest

    def close(self) -> None:
        """See `Registry.close`."""

    def __enter__(self) -> LayoutRegistry:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _damaged(self, blob: Blob, path: Path, reason: str) -> DamagedBlob:
        return DamagedBlob(blob.digest, path, reason, advice=self._store.advice)


def open_registry(reference: Reference, *, access: Optional[Access] = None) -> Registry:
    """Open the registry that a reference leads to.

    Args:
        reference: Where; its name is not looked at.
        access: How to reach a server; what the environment and the docker configuration say when None.

    Raises:
        AccessProblem: What is configured for reaching servers cannot be used.
    """
    if reference.kind == "oci":
        return LayoutRegistry(Path(reference.place))
    return RemoteRegistry(reference.place, reference.repository, access=access)
