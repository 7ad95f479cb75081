"""Time: how long to wait, when to try again, when to give up."""

from __future__ import annotations

import logging
import random
import time
from email.utils import parsedate_to_datetime
from typing import Callable, NamedTuple, Optional, TypeVar

from pydantic import Field

from artifacts.errors import RegistryError, RegistryUnreachable
from artifacts.variant import Record

logger = logging.getLogger(__name__)

T = TypeVar("T")

# What counts as getting on: fewer new bytes would let a server that cuts after each handful keep us for hours.
_PROGRESS_BYTES = 1 << 18


class Limits(Record):
    """How patient to be with a server."""

    connect_s: float = Field(default=10.0, gt=0, description="longest wait for a connection, seconds")
    read_s: float = Field(default=30.0, gt=0, description="longest silence while waiting for bytes, seconds")
    commit_s: float = Field(default=300.0, gt=0, description="longest wait for a server to accept an upload, seconds")
    deadline_s: float = Field(default=4 * 3600.0, gt=0, description="longest life of one open registry, seconds")
    attempts: int = Field(default=5, ge=1, description="tries in a row that bring nothing new")
    backoff_s: float = Field(default=0.5, ge=0, description="first wait between tries, doubled each time, seconds")
    backoff_cap_s: float = Field(default=20.0, ge=0, description="longest wait between tries, seconds")
    retry_after_cap_s: float = Field(default=120.0, ge=0, description="longest wait that a server may ask for, seconds")
    min_rate: int = Field(default=1024, ge=0, description="slower servers are dropped; bytes a second")
    rate_window_s: float = Field(default=20.0, gt=0, description="over which the rate is taken, seconds")
    reserve: int = Field(default=16 << 20, ge=0, description="bytes that must stay free on the disk")


class Clock(NamedTuple):
    """Where time comes from, so that tests need not wait.

    Attributes:
        monotonic: Seconds of a clock that never goes back.
        epoch: Seconds since the epoch.
        sleep: Waits so many seconds.
        jitter: A number in [0, 1).
    """

    monotonic: Callable[[], float] = time.monotonic
    epoch: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


class TryAgain(Exception):
    """A failure that may pass: what to raise when it does not, and how long the server asks us to wait, in seconds."""

    def __init__(self, error: RegistryError, retry_after_s: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


class Job:
    """One deadline for all that is asked of one server.

    Args:
        registry: The server's name, for messages.
        limits: How patient to be.
        clock: Where time comes from.
    """

    def __init__(self, registry: str, limits: Limits, clock: Clock) -> None:
        self.registry = registry
        self.limits = limits
        self.clock = clock
        self._end = clock.monotonic() + limits.deadline_s

    def remaining(self) -> float:
        """Return the seconds until the deadline, at least 0."""
        return max(0.0, self._end - self.clock.monotonic())

    def check(self) -> None:
        """Do nothing while there is time.

        Raises:
            RegistryUnreachable: The deadline has passed.
        """
        if self.remaining() <= 0:
            raise self.late()

    def late(self) -> RegistryUnreachable:
        """Return the error that says that the deadline has passed."""
        return RegistryUnreachable(self.registry, f"the time limit of {self.limits.deadline_s:g} s is over")

    def persevere(self, attempt: Callable[[], T], have: Callable[[], int] = lambda: 0) -> T:
        """Try until it succeeds or is not worth trying again.

        Args:
            attempt: One try; raises TryAgain for what may pass.
            have: Returns how many bytes are here; getting on renews the patience.

        Returns:
            What the attempt returned.

        Raises:
            RegistryError: The last try's error, or the deadline has passed.
        """
        fruitless, best = 0, have()
        while True:
            self.check()
            try:
                return attempt()
            except TryAgain as failure:
                # Only more than ever before counts, lest a file that starts over for ever looks alive.
                fruitless = 0 if have() >= best + _PROGRESS_BYTES else fruitless + 1
                best = max(best, have())
                if fruitless >= self.limits.attempts:
                    raise failure.error from None
                self._wait(failure, fruitless)

    def _wait(self, failure: TryAgain, fruitless: int) -> None:
        limits = self.limits
        doubled = min(limits.backoff_s * 2.0 ** max(0, fruitless - 1), limits.backoff_cap_s)
        wait = max(doubled * (0.5 + self.clock.jitter() / 2), min(failure.retry_after_s, limits.retry_after_cap_s))
        if wait >= self.remaining():
            raise failure.error from None
        logger.info("trying again in %.1f s: %s", wait, failure)
        self.clock.sleep(wait)


class RateWatch:
    """Gives up a server that sends too slowly: one byte now and then never trips a read time-out."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._since = job.clock.monotonic()
        self._received = 0

    def note(self, received: int) -> None:
        """Count bytes that came.

        Raises:
            TryAgain: A window ended in which fewer came than the least rate gives.
            RegistryUnreachable: The deadline has passed.
        """
        self._job.check()
        limits, now = self._job.limits, self._job.clock.monotonic()
        self._received += received
        elapsed = now - self._since
        if elapsed < limits.rate_window_s:
            return
        if self._received < limits.min_rate * elapsed:
            rate = self._received / elapsed
            reason = f"it sent {rate:.0f} bytes a second, less than {limits.min_rate}"
            raise TryAgain(RegistryUnreachable(self._job.registry, reason))
        self._since, self._received = now, 0


def seconds_of(retry_after: Optional[str], epoch: float) -> float:
    """Read the header ``Retry-After`` (RFC 9110, section 10.2.3): seconds, or a date.

    Args:
        retry_after: Its value.
        epoch: Now, seconds since the epoch.

    Returns:
        Seconds to wait; 0 when it asks for none or cannot be understood.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - epoch)
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0
