"""`tasks.sources.archive`: one member of a zip that somebody else packed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.errors import DownloadError, MirrorFailure
from tasks.sources.archive import take_local
from tasks.sources.model import Expected
from tasks.sources.pace import Job
from tasks.sources.part import Part, open_part
from tests.fuzz.places import scratch, written
from tests.tasks.sources.support import QUICK, job_with

MEMBER = "folder/member"


def target(data: bytes) -> None:
    """Take the member out, of at most 64 KiB."""
    try:
        taken(written("a.zip", data), take_local)
    except (MirrorFailure, DownloadError):
        return


def taken(path: Path, take: Callable[[Path, str, Part, Job], None]) -> bytes:
    """Take the member out into a partial file.

    Args:
        path: The archive.
        take: `take_local`.

    Returns:
        What came, at most 64 KiB.
    """
    job = job_with(QUICK.model_copy(update={"max_bytes": 1 << 16}))
    expected = Expected(name="member", size=None, digest=None, said_by="the source")
    with open_part(scratch() / "taken", lambda: expected, job) as part:
        try:
            take(path, MEMBER, part, job)
            assert part.have <= 1 << 16
            return part.path.read_bytes()
        finally:
            part.restart()


def seeds() -> Iterator[bytes]:
    """Archives by both methods, with neighbours, and with sizes in 64 bits."""
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            archive.writestr("other", b"other")
            archive.writestr(MEMBER, b"content " * 40)
        yield packed.getvalue()
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(MEMBER, "w", force_zip64=True) as file,
    ):
        file.write(b"0" * 5000)
    yield packed.getvalue()
