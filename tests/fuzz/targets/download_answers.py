"""`tasks.sources.rules`: what the headers of a mirror are worth.

The input is a status and header lines.
"""

from __future__ import annotations

from collections.abc import Iterator

from requests.structures import CaseInsensitiveDict

from tasks.errors import MirrorFailure
from tasks.sources import rules


def target(data: bytes) -> None:
    """Judge the answer, with and without bytes here already."""
    first, *lines = data.decode("latin-1").split("\n")
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(line.partition(":")[::2] for line in lines if ":" in line)
    status = int(first[:3]) if first[:3].isascii() and first[:3].isdigit() else 200
    for resume in (rules.Resume(), rules.Resume(have=100, validator='"a"')):
        for size in (None, 1000):
            try:
                body = rules.judge(status, headers, resume, size, 0.0)
                assert body.offset in (0, resume.have) and (size is None or body.total in (None, size))
            except MirrorFailure as failure:
                assert failure.retry_after_s is None or failure.retry_after_s >= 0
    try:
        where = rules.redirected("https://host.example/a", headers.get("Location", ""), False)
        assert where.lower().startswith("https:")
    except MirrorFailure:
        pass
    rules.looks_like_html(data)


def seeds() -> Iterator[bytes]:
    """The usual answers."""
    yield b'200\nContent-Length: 1000\nETag: "a"\nContent-Encoding: gzip'
    yield b'206\nContent-Range: bytes 100-999/1000\nETag: "a"'
    yield b"206\nContent-Range: bytes 0-99/*\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT"
    yield b"503\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT"
    yield b"429\nRetry-After: 120\nTransfer-Encoding: chunked"
    yield b"302\nLocation: //other.example/b?c#d"
    yield b"302\nLocation: http://[::1]:80/"
