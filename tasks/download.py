"""Bytes from a source to a file: whole, checked, and in place at once or not at all.

One order only: look whether the target is there and hash it; gather the bytes in a partial file beside it, from one
mirror after the other, going on where an earlier try or an earlier process stopped; compare length and digest; sync;
rename. What may pass (a connection, a time-out, 408, 425, 429, 5xx, a short body) is tried again with growing waits;
what will not (404, wrong bytes, no space) is not. Nothing here knows Prefect.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from settings.locations import without_secrets
from tasks.errors import (
    DigestUnknown,
    DownloadError,
    DownloadsFailed,
    FailureKind,
    MirrorFailure,
    SourceUnavailable,
    unavailable,
)
from tasks.sources import archive, dfss, http, local
from tasks.sources.address import (
    Address,
    DfssAddress,
    FileAddress,
    HttpAddress,
    ZipMember,
    host_of,
    parse_mirror,
)
from tasks.sources.local import list_folder
from tasks.sources.lock import LockFile, Recorded
from tasks.sources.model import Expected, Fetched, Item, Options, Source
from tasks.sources.pace import Clock, Job, persevere
from tasks.sources.part import Part, check_room, in_place, open_part
from tasks.sources.progress import metered

__all__ = ["Clock", "Fetched", "Item", "Options", "Source", "fetch", "fetch_many", "list_folder"]

logger = logging.getLogger(__name__)

# Files in a row that nobody answers for, before a list is given up: with waits, each costs half a minute.
_GIVE_UP_AFTER = 8


def fetch(source: Source, target: Path, *, options: Options | None = None, clock: Clock | None = None) -> Fetched:
    """Bring one source to one place.

    Two callers of the same target, in whatever process, download it once: the second waits and finds it.

    Args:
        source: What, and who has it.
        target: The file to make; missing folders above it are made. Wrong bytes that lie there are replaced, but only
            once the right ones are here. Partial bytes are kept beside it, as `NAME.part`.
        options: How; the defaults when None.
        clock: Where time comes from; the machine's when None.

    Returns:
        The file, with the sha256 digest of its bytes.

    Raises:
        DigestUnknown: No digest is known, and it is not to be recorded on first use.
        SourceMissing: Every mirror says that it has no such file.
        DigestMismatch: Every mirror gave other bytes than expected.
        SourceUnavailable: Every mirror failed, for these or other reasons.
        NoSpaceForDownload: The disk cannot hold it.
        TargetUnusable: The target's folder cannot be written.
        DownloadStopped: The deadline passed.
        BadLockFile: The lock file cannot be read.
    """
    with _desk(source.name, None, options, clock) as desk:
        desk.expect(source)
        return desk.obtain(source, Path(target))


def fetch_many(
    items: Sequence[Item],
    *,
    connections: int = 8,
    options: Options | None = None,
    clock: Clock | None = None,
    title: str = "files",
) -> list[Fetched]:
    """Bring many sources to their places, several at a time.

    Args:
        items: What goes where; no two to the same place.
        connections: Most files asked for at the same time.
        options: How; the deadline is for all together.
        clock: Where time comes from; the machine's when None.
        title: What they are, for the progress bar.

    Returns:
        One result for each item, in their order.

    Raises:
        ValueError: Two items have the same target.
        DigestUnknown: Of some no digest is known, and it is not to be recorded on first use; nothing was downloaded.
        DownloadsFailed: Some could not be had; the others are in place.
        NoSpaceForDownload: The disk cannot hold them.
        TargetUnusable: A target's folder cannot be written.
        DownloadStopped: The deadline passed.
        BadLockFile: The lock file cannot be read.
    """
    twice = [str(path) for path, count in Counter(item.target.absolute() for item in items).items() if count > 1]
    if twice:
        raise ValueError(f"{len(twice)} targets are named more than once, first {twice[0]}")
    with _desk(f"{len(items)} {title}", len(items), options, clock) as desk:
        expected = desk.expect(*(item.source for item in items))
        _check_room_for_all(items, expected, desk.job.options.reserve)
        return _all(items, desk, max(1, connections))


class _Desk:
    """What one call holds: its job and the lock file."""

    def __init__(self, job: Job) -> None:
        self.job = job
        lock_file = job.options.lock_file
        self.book = None if lock_file is None else LockFile(lock_file)

    def expect(self, *sources: Source) -> list[Expected]:
        """Return what each source's bytes must be, or refuse those of which nobody knows."""
        expected = [self._expected(source) for source in sources]
        unknown = [one.name for one in expected if one.digest is None]
        if unknown and not self.job.options.record_first_use:
            raise DigestUnknown(unknown)
        return expected

    def _expected(self, source: Source) -> Expected:
        if self.book and source.digest is None:
            recorded = self.book.get(source.entry)
            if recorded is not None:
                said_by = f"{self.book.path}, recorded on first use from {recorded.mirror}"
                return Expected(name=source.name, size=recorded.size, digest=recorded.digest, said_by=said_by)
        return Expected(name=source.name, size=source.size, digest=source.digest, said_by="the settings")

    def obtain(self, source: Source, target: Path) -> Fetched:
        """See `fetch`."""
        expected = self._expected(source)
        found = in_place(target, expected)
        if found is None:
            if expected.digest is not None and target.exists():
                logger.warning("%s does not hold the expected bytes; it will be replaced", target)
            found = self._download(source, target)
        self.job.meter.finish_file()
        return found

    def _download(self, source: Source, target: Path) -> Fetched:
        def expect() -> Expected:
            if self.book:
                self.book.refresh()
            return self._expected(source)

        with open_part(target, expect, self.job) as part:
            # Another may have brought it, and recorded it, while we waited for the lock.
            found = in_place(target, part.expected)
            if found is not None:
                return found
            failures: list[MirrorFailure] = []
            for mirror in self._in_order(source):
                try:
                    digest = _from_mirror(mirror, source.name, part, self.job)
                    self._record(source, mirror, digest, part)
                except MirrorFailure as failure:
                    self._note_failure(failure, mirror, part)
                    failures.append(failure)
                else:
                    part.commit()
                    return Fetched(path=target, digest=digest, size=part.have, mirror=without_secrets(mirror))
            said_by = f"What is expected is said by {part.expected.said_by}. "
            raise unavailable(part.expected.name, failures, said_by)

    def _in_order(self, source: Source) -> list[str]:
        # A host that has just been given up for another file is asked last, not waited for again.
        return sorted(source.mirrors, key=lambda mirror: host_of(mirror) in self.job.unreachable)

    def _record(self, source: Source, mirror: str, digest: str, part: Part) -> None:
        if part.expected.digest is None and self.book is not None:
            recorded = Recorded(mirror=without_secrets(mirror), digest=digest, size=part.have)
            self.book.record(source.entry, recorded)

    def _note_failure(self, failure: MirrorFailure, mirror: str, part: Part) -> None:
        failure.mirror = without_secrets(mirror)
        if failure.transient and (host := host_of(mirror)):
            self.job.unreachable.add(host)
        if failure.discard:
            part.restart()
        logger.debug("%s: %s", failure.mirror, failure.reason)


@contextmanager
def _desk(title: str, files: int | None, options: Options | None, clock: Clock | None) -> Iterator[_Desk]:
    options = options or Options()
    with metered(title, files, options.progress) as meter:
        job = Job(options, clock or Clock(), meter)
        try:
            yield _Desk(job)
        finally:
            job.close()


def _from_mirror(mirror: str, name: str, part: Part, job: Job) -> str:
    address = parse_mirror(mirror)
    clean = False

    def attempt() -> None:
        nonlocal clean
        _transfer(address, name, part, job)
        pieced = part.pieced
        try:
            part.verify()
        except MirrorFailure as failure:
            if failure.discard:
                part.restart()
            if not (failure.discard and pieced) or clean:
                raise
            # Pieces of two versions, or of two mirrors, do not make one file: what came in one go decides.
            clean = True
            reason = f"the pieces of several tries do not fit; {failure.reason}"
            raise MirrorFailure(FailureKind.PASSING, reason, discard=True) from failure

    persevere(attempt, lambda: part.have, job)
    return part.verify()


def _transfer(address: Address, name: str, part: Part, job: Job) -> None:
    match address:
        case HttpAddress():
            http.download(address.of(name).url, part, job)
        case FileAddress():
            local.copy(address.at(job.options.base, name), part, job)
        case DfssAddress():
            with dfss.fetched_by_tool(address.text, part, job) as path:
                local.copy(path, part, job)
        case ZipMember(archive=HttpAddress() as remote):
            archive.take_remote(remote.url, address.member, part, job)
        case ZipMember(archive=FileAddress() as here):
            archive.take_local(here.at(job.options.base, ""), address.member, part, job)
        case ZipMember(archive=DfssAddress() as vendors):
            with dfss.fetched_by_tool(vendors.text, part, job) as path:
                archive.take_local(path, address.member, part, job)


def _check_room_for_all(items: Sequence[Item], expected: Sequence[Expected], reserve: int) -> None:
    needed: Counter[Path] = Counter()
    for item, one in zip(items, expected, strict=True):
        if not item.target.exists():
            needed[item.target.parent] += one.size or 0
    for folder, size in needed.items():
        check_room(folder, size, reserve)


def _all(items: Sequence[Item], desk: _Desk, connections: int) -> list[Fetched]:
    done: dict[int, Fetched] = {}
    failed: dict[int, DownloadError] = {}
    with ThreadPoolExecutor(connections, thread_name_prefix="download") as pool:
        futures = {pool.submit(desk.obtain, item.source, item.target): index for index, item in enumerate(items)}
        try:
            _collect(futures, done, failed)
        except BaseException:
            desk.job.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        failures = [(items[index].source.name, failed[index]) for index in sorted(failed)]
        raise DownloadsFailed(len(items), failures, len(items) - len(done) - len(failed))
    return [done[index] for index in range(len(items))]


def _collect(futures: dict[Future[Fetched], int], done: dict[int, Fetched], failed: dict[int, DownloadError]) -> None:
    unanswered = 0
    for future in as_completed(futures):
        try:
            done[futures[future]] = future.result()
            unanswered = 0
        except CancelledError:
            continue
        except SourceUnavailable as error:
            failed[futures[future]] = error
            unanswered = unanswered + 1 if error.transient else 0
        if unanswered >= _GIVE_UP_AFTER:
            for waiting in futures:
                waiting.cancel()
