"""A remote file read by byte ranges, in the form that `remotezip` reads from."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

import requests
from remotezip import PartialBuffer

from tasks.errors import FailureKind, MirrorFailure
from tasks.sources import rules
from tasks.sources.http import ask, read_chunk
from tasks.sources.pace import Job, RateWatch

# The end of an archive and its directory are held in memory; COCO's largest directory has about 10 MB.
MOST_IN_MEMORY = 64 << 20


class RangeBody:
    """The body of one range answer, as a file that can only go forward."""

    def __init__(self, response: requests.Response, length: int, job: Job) -> None:
        self.closed = False
        self._response = response
        self._left = length
        self._position = 0
        self._job = job
        self._watch = RateWatch(job.options.min_rate, job.options.rate_window_s, job.clock.monotonic())

    def read(self, size: int) -> bytes:
        """Read so many bytes, fewer only at the end of the range.

        Raises:
            MirrorFailure: The connection broke, fell silent or became too slow, or the body ended early.
            DownloadStopped: The deadline passed, or the job was called off.
        """
        chunks = []
        wanted = min(size, self._left)
        while wanted:
            self._job.check()
            chunk = read_chunk(self._response, wanted, self._job)
            if not chunk:
                raise MirrorFailure(FailureKind.PASSING, f"ended a range {self._left:,} bytes too early")
            self._watch.note(len(chunk), self._job.clock.monotonic())
            chunks.append(chunk)
            wanted -= len(chunk)
            self._left -= len(chunk)
            self._position += len(chunk)
        return b"".join(chunks)

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def close(self) -> None:
        """Give the connection back."""
        self.closed = True
        self._response.close()


class RangeReader:
    """Asks one remote file for ranges; all of them must be of the same version of it."""

    def __init__(self, url: str, downgrade: bool, job: Job) -> None:
        self._url = url
        self._downgrade = downgrade
        self._job = job
        self._validator: str | None = None
        self._length: int | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def fetch(self, data_range: tuple[int, int | None], stream: bool = False) -> PartialBuffer:
        """Ask for a range; the interface is that of `remotezip.RemoteFetcher`.

        Args:
            data_range: First and last byte; or a negative number and None for so many bytes at the end.
            stream: Leave the body on the network, to be read forward once; else it is read into memory.

        Returns:
            The range.

        Raises:
            MirrorFailure: The server failed, cannot send ranges, or the file changed meanwhile.
            DownloadStopped: The deadline passed, or the job was called off.
        """
        first, last = data_range
        if last is None:
            # Servers differ on ranges counted from the end (some refuse, some send the start), so the length is asked.
            length = self._measure()
            first, last = max(0, length + first if first < 0 else first), length - 1
        if not stream and last - first + 1 > MOST_IN_MEMORY:
            raise MirrorFailure(FailureKind.UNSAFE, f"the zip's directory claims {last - first + 1:,} bytes")
        return PartialBuffer(self._ask(first, last), first, last - first + 1, stream)

    def _measure(self) -> int:
        if self._length is None:
            self._ask(0, 0).close()
        if not self._length:
            raise MirrorFailure(FailureKind.REFUSED, "does not say how long the zip is")
        return self._length

    def _ask(self, first: int, last: int) -> RangeBody:
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={first}-{last}"}
        if self._validator:
            headers["If-Range"] = self._validator
        response = self._open.enter_context(ask(self._url, headers, self._downgrade, self._job))
        rules.refuse_error(response.status_code, response.headers, self._job.clock.epoch())
        if response.status_code != requests.codes.partial_content:
            raise self._no_range()
        got_first, got_last, length = rules.content_range(response.headers)
        if (got_first, got_last) != (first, last) or self._length not in (None, length):
            reason = f"sent bytes {got_first:,} to {got_last:,} where {first:,} to {last:,} were asked for"
            raise MirrorFailure(FailureKind.PASSING, reason)
        self._validator = self._validator or rules.validator_of(response.headers)
        self._length = length
        return RangeBody(response, last - first + 1, self._job)

    def _no_range(self) -> MirrorFailure:
        if self._validator:
            return MirrorFailure(FailureKind.PASSING, "changed the zip while it was read")
        return MirrorFailure(
            FailureKind.REFUSED,
            "sends no byte ranges, so that one member cannot be taken without the whole zip; "
            "download the zip by hand and give zip+file:PATH!/MEMBER",
        )
