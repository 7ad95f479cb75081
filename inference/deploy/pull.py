"""Pulling: from a reference to a release that this device runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from artifacts import media
from artifacts.digest import hex_of
from artifacts.errors import NoRoom
from artifacts.export import ReleaseFiles
from artifacts.files import free_bytes
from artifacts.oci import MAX_MANIFEST_BYTES, Child, Manifest, parse, read_index, read_manifest
from artifacts.reference import Reference
from artifacts.registry import Registry
from artifacts.release import MAX_RECORD_BYTES, ReleaseRecord, Variant
from artifacts.store import Blob
from inference.deploy.local import lasting_name
from inference.deploy.selection import select, selection_name, wanted_files
from inference.deploy.state import PulledRelease, SelfTest
from inference.deploy.store import DeviceStore
from inference.deploy.trust import Trust, trusted_name
from inference.wish import Wish

# What stays free for the device's own work, and for the state and the links.
RESERVE_BYTES = 16 << 20
_PULL_WAIT_S = 3600.0

Check = Callable[[Path, ReleaseRecord, Sequence[Variant]], None]
"""Tests the models of a release folder on this machine; raises where one may not be used."""


class Pulled(NamedTuple):
    """What a pull did.

    Attributes:
        release: What it found.
        folder: Where it lies.
        fetched: Bytes that were not there before.
        repaired: Whether its folder had been made by an earlier pull and was not whole any more.
        switched: Whether another release was in use before.
        current: Whether it is in use now.
    """

    release: PulledRelease
    folder: Path
    fetched: int
    repaired: bool
    switched: bool
    current: bool


class _Found(NamedTuple):
    """A release in a registry, and what of it is wanted."""

    digest: str
    record: ReleaseRecord
    variants: Sequence[Variant]
    files: Dict[str, Blob]


def pull(
    registry: Registry,
    reference: Reference,
    wish: Wish,
    store: DeviceStore,
    *,
    check: Optional[Check],
    activate: bool = True,
    trust: Optional[Trust] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> Pulled:
    """Fetch a release, test it, and put it to use. Safe to repeat and to kill.

    Args:
        registry: Where it is.
        reference: Which it is, there.
        wish: Which of its models.
        store: Where it goes.
        check: The self-test; None leaves it out, which the store notes.
        activate: Whether it becomes the current release; without that it is not tested either.
        trust: What the release has to show; None asks for nothing.
        progress: Called with the bytes fetched so far and all that have to be.

    Returns:
        What was done.

    Raises:
        NoSuchVariant: Not exactly one model fits.
        NoRoom: The disk is too small; nothing was fetched.
        SignatureError: It is not what the trusted keys vouch for; nothing was fetched.
        SelfTestFailed: The self-test failed; the release that was in use still is.
        DeployError: Another pull does not end, or the store's state is damaged.
        RegistryError: The registry has no such release, or it is not sound.
        StoreError: The disk is full, or the store cannot be written.
    """
    with store.pulling(_PULL_WAIT_S):
        store.tidy()
        wanted = reference.name if trust is None else trusted_name(registry, reference, trust, store.root)
        found = _find(registry, wanted, wish)
        name = f"{hex_of(found.digest)}-{selection_name(found.variants)}"
        fetched = _fetch(registry, found.files, store, progress)
        written = store.place(found.files, name)
        before = store.state()
        known = before.find(name)
        tested = _test_result(known, written, check, activate)
        if tested is None and check is not None:
            check(store.folder(name), found.record, found.variants)
        release = PulledRelease(
            folder=name,
            digest=found.digest,
            references=(lasting_name(reference),),
            name=found.record.name,
            version=found.record.version,
            models=tuple(variant.path for variant in found.variants),
            files=found.files,
            self_test=tested or "passed",
        )
        after = store.add(release, activate=activate)
        return Pulled(
            release=release,
            folder=store.folder(name),
            fetched=fetched,
            repaired=written and known is not None,
            switched=after.current != before.current,
            current=after.current == name,
        )


def _test_result(
    known: Optional[PulledRelease], written: bool, check: Optional[Check], activate: bool
) -> Optional[SelfTest]:
    """The self-test's result where it need not run, None where it has to."""
    if known is not None and known.self_test == "passed" and not written:
        return "passed"
    if not activate:
        return "not run"
    return "skipped" if check is None else None


def _find(registry: Registry, name: str, wish: Wish) -> _Found:
    digest, data = registry.resolve(name)
    manifests: List[Manifest] = []
    if parse(data, "a manifest").get("mediaType") == media.MANIFEST:
        manifests = [read_manifest(data)]
    else:
        manifests = [_manifest(registry, child) for child in read_index(data)]
    # All chips, whichever is wanted: what does not fit is answered by what there is.
    files = ReleaseFiles.of(manifests)
    record = ReleaseRecord.from_json(registry.read(files.record, MAX_RECORD_BYTES))
    files.checked_against(record)
    variants = select(record, files.chips, wish)
    return _Found(digest, record, variants, wanted_files(files.blobs, files.record, variants, every=wish.every))


def _manifest(registry: Registry, child: Child) -> Manifest:
    return read_manifest(registry.read(child.blob, MAX_MANIFEST_BYTES), child.chip)


def _fetch(
    registry: Registry,
    files: Dict[str, Blob],
    store: DeviceStore,
    progress: Optional[Callable[[int, int], None]],
) -> int:
    """Bring what is missing into the store; what is there was hashed and is left alone."""
    missing = {blob.digest: blob for blob in files.values() if not store.content.is_sound(blob)}
    total = sum(blob.size for blob in missing.values())
    free = free_bytes(store.root)
    if missing and free is not None and free < total + RESERVE_BYTES:
        raise NoRoom(store.root, total + RESERVE_BYTES, free)
    done = 0
    for blob in missing.values():
        told = None if progress is None else partial(_tell, progress, done, total)
        registry.fetch(blob, store.content, told)
        done += blob.size
    return done


def _tell(progress: Callable[[int, int], None], before: int, total: int, of_this: int) -> None:
    progress(before + of_this, total)
