"""One member of a zip archive, local or remote.

A remote archive is not downloaded: its directory and the member are read by byte ranges (`remotezip`). The member's
name is only looked up, never used as a path. zipfile checks each member's CRC-32 at its end and gives no more bytes
than the directory declares, so bounding what is declared bounds what comes.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from remotezip import RemoteZip, RemoteZipError

from tasks.errors import FailureKind, MirrorFailure
from tasks.sources.local import opened
from tasks.sources.pace import Job
from tasks.sources.part import Part, check_room
from tasks.sources.ranges import RangeReader

_CHUNK = 1 << 18

# Deflate cannot do better (zlib's technical details: 1032:1), so that more is a lie or a bomb.
_BEST_RATIO = 1032
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# What zipfile raises for archives that are damaged, or made to harm.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RemoteZipError,
    ValueError,
    OverflowError,
    RuntimeError,
)


def take_local(path: Path, member: str, part: Part, job: Job) -> None:
    """Take one member out of a local zip into a partial file, from its start.

    Args:
        path: The archive.
        member: The member's full name in it.
        part: The partial file; not verified afterwards.
        job: Limits and progress.

    Raises:
        MirrorFailure: No such archive or member, or one that is damaged, encrypted or unsafe.
        DownloadStopped: The deadline passed, or the job was called off.
        NoSpaceForDownload: The disk cannot hold the member.
        TargetUnusable: The partial file cannot be written.
    """
    with opened(path), _damage_named(), zipfile.ZipFile(path) as archive:
        _take(archive, member, str(path), part, job)


def take_remote(url: str, member: str, part: Part, job: Job) -> None:
    """Take one member out of a zip behind http or https into a partial file, from its start.

    Args:
        url: The archive.
        member: The member's full name in it.
        part: The partial file; not verified afterwards.
        job: Limits, connections, progress.

    Raises:
        MirrorFailure: The server failed or cannot send ranges; else as `take_local`.
        DownloadStopped: The deadline passed, or the job was called off.
        NoSpaceForDownload: The disk cannot hold the member.
        TargetUnusable: The partial file cannot be written.
    """
    with RangeReader(url, part.expected.digest is not None, job) as reader, _damage_named():

        def fetcher(_url: str, _session: object, **_: object) -> RangeReader:
            return reader

        with RemoteZip(url, fetcher=fetcher) as archive:
            _take(archive, member, url, part, job)


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise MirrorFailure(FailureKind.WRONG_BYTES, "is a damaged zip: it ends too early", discard=True) from None
    except OSError as error:
        raise MirrorFailure(FailureKind.REFUSED, f"cannot be read: {error.strerror}") from error
    except _DAMAGED as error:
        raise MirrorFailure(FailureKind.WRONG_BYTES, f"is no sound zip ({error})", discard=True) from error


def _take(archive: zipfile.ZipFile, member: str, origin: str, part: Part, job: Job) -> None:
    info = find_member(archive.infolist(), member, part.expected.size, job.options.max_bytes)
    check_room(part.path, info.file_size, job.options.reserve)
    part.accept(f"{origin}!/{member}", 0, None)
    job.meter.begin(0, info.file_size)
    with archive.open(info) as stream:
        while chunk := stream.read(_CHUNK):
            job.check()
            part.write(chunk)
            job.meter.advance(len(chunk))


def find_member(infos: list[zipfile.ZipInfo], member: str, size: int | None, max_bytes: int) -> zipfile.ZipInfo:
    """Find a member in an archive's directory and decide whether it is safe to take.

    Args:
        infos: The directory.
        member: Its full name.
        size: Its expected number of bytes, where known.
        max_bytes: Most bytes that it may have when their number is not known.

    Returns:
        The member.

    Raises:
        MirrorFailure: It is missing, there twice, no file, encrypted, packed by an unusual method, of another size than
            expected, too large, or larger than its packed bytes can make.
    """
    found = [info for info in infos if info.filename == member]
    if not found:
        near = get_close_matches(member, [info.filename for info in infos], n=3)
        hint = f"; near it are {', '.join(near)}" if near else f" among its {len(infos)} members"
        raise MirrorFailure(FailureKind.MISSING, f"the zip has no {member}{hint}")
    if len(found) > 1:
        raise MirrorFailure(FailureKind.UNSAFE, f"the zip has {len(found)} members called {member}")
    info = found[0]
    mode = info.external_attr >> 16
    if info.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
        raise MirrorFailure(FailureKind.UNSAFE, f"{member} in the zip is no file")
    if info.flag_bits & _ENCRYPTED:
        raise MirrorFailure(FailureKind.UNSAFE, f"{member} in the zip is encrypted")
    if info.compress_type not in _METHODS:
        raise MirrorFailure(FailureKind.UNSAFE, f"{member} in the zip is packed by method {info.compress_type}")
    if size is not None and info.file_size != size:
        reason = f"{member} in the zip has {info.file_size:,} bytes where {size:,} are expected"
        raise MirrorFailure(FailureKind.WRONG_BYTES, reason)
    if (size is None and info.file_size > max_bytes) or info.file_size > _BEST_RATIO * info.compress_size:
        reason = f"{member} in the zip claims {info.file_size:,} bytes out of {info.compress_size:,} packed ones"
        raise MirrorFailure(FailureKind.UNSAFE, reason)
    return info
