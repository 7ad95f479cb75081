"""Time: when to wait, when to try again, when to give up."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import requests
import tenacity

from artifacts.remote.bounded import bound
from tasks.errors import DownloadStopped, FailureKind, MirrorFailure
from tasks.sources.meter import Meter
from tasks.sources.model import Options

logger = logging.getLogger(__name__)

# What counts as getting on. Less would let a server that cuts after each few bytes keep us for hours.
_PROGRESS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from, so that tests need not wait.

    Attributes:
        monotonic: Seconds of a clock that never goes back.
        epoch: Seconds since the epoch.
        wait: Waits so many seconds, or less when the event is set.
        random: A number in [0, 1).
    """

    monotonic: Callable[[], float] = time.monotonic
    epoch: Callable[[], float] = time.time
    wait: Callable[[threading.Event, float], object] = threading.Event.wait
    random: Callable[[], float] = random.random


class _Session(requests.Session):
    # Even when told not to follow redirects, requests looks where they lead and for that reads their whole body.
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class Job:
    """One call for one file or many: its deadline, its connections, its end."""

    def __init__(self, options: Options, clock: Clock, meter: Meter) -> None:
        self.options = options
        self.clock = clock
        self.meter = meter
        self.unreachable: set[str] = set()
        self._stopped = threading.Event()
        self._end = clock.monotonic() + options.deadline_s
        self._own = threading.local()
        self._sessions: list[requests.Session] = []

    def check(self) -> None:
        """Raise DownloadStopped once the time is up or the job was called off."""
        if self._stopped.is_set():
            raise DownloadStopped("it was called off")
        if self.clock.monotonic() >= self._end:
            raise DownloadStopped(f"the time limit of {self.options.deadline_s:g} s is over")

    def sleep(self, seconds: float) -> None:
        """Wait; raise DownloadStopped at once when the deadline would pass meanwhile."""
        if self.clock.monotonic() + seconds >= self._end:
            raise DownloadStopped(
                f"the next try would be in {seconds:.0f} s, after the time limit of {self.options.deadline_s:g} s"
            )
        self.clock.wait(self._stopped, seconds)
        self.check()

    def stop(self) -> None:
        """Call the job off; its threads end at their next chunk or wait."""
        self._stopped.set()

    @property
    def session(self) -> requests.Session:
        """The calling thread's own connections: a session is not promised to be safe between threads."""
        if not hasattr(self._own, "session"):
            self._own.session = _Session()
            bound(self._own.session)
            self._own.session.headers["User-Agent"] = "centernet-sophon"
            self._sessions.append(self._own.session)
        session: requests.Session = self._own.session
        return session

    def close(self) -> None:
        """Close all connections."""
        for session in self._sessions:
            session.close()


class RateWatch:
    """Gives up a connection that sends too slowly: one byte now and then never trips a read time-out."""

    def __init__(self, min_rate: int, window_s: float, now: float) -> None:
        self._min_rate = min_rate
        self._window_s = window_s
        self._since = now
        self._received = 0

    def note(self, received: int, now: float) -> None:
        """Count bytes.

        Args:
            received: How many came.
            now: When, in seconds of the clock that the watch was started with.

        Raises:
            MirrorFailure: A window ended in which fewer came than the least rate gives.
        """
        self._received += received
        elapsed = now - self._since
        if elapsed < self._window_s:
            return
        if self._received < self._min_rate * elapsed:
            reason = f"sent {self._received / elapsed:.0f} bytes/s, less than {self._min_rate}"
            raise MirrorFailure(FailureKind.PASSING, reason)
        self._since, self._received = now, 0


class Patience:
    """How long one mirror is believed to recover: counts the tries in a row that brought nothing new."""

    def __init__(self, options: Options, jitter: Callable[[], float], have: int) -> None:
        self._options = options
        self._jitter = jitter
        self._best = have
        self.fruitless = 0

    def note(self, have: int) -> None:
        """Note a failed try.

        Args:
            have: Bytes here now. Only more than ever before counts, lest a file that starts over for ever looks alive.
        """
        if have >= self._best + _PROGRESS_BYTES:
            self._best, self.fruitless = have, 0
        else:
            self.fruitless += 1

    def exhausted(self, _: tenacity.RetryCallState) -> bool:
        """Tell tenacity whether to stop."""
        return self.fruitless >= self._options.attempts

    def delay(self, state: tenacity.RetryCallState) -> float:
        """Tell tenacity how many seconds to wait: doubling, with jitter, and no less than the server asked for."""
        doubled = self._options.backoff_s * 2.0 ** max(0, self.fruitless - 1)
        wait = min(doubled, self._options.backoff_cap_s) * (0.5 + self._jitter() / 2)
        failure = state.outcome.exception() if state.outcome else None
        asked = failure.retry_after_s if isinstance(failure, MirrorFailure) else None
        return max(wait, min(asked or 0.0, self._options.retry_after_cap_s))


def persevere(attempt: Callable[[], None], have: Callable[[], int], job: Job) -> None:
    """Try one mirror until it gives all, or is not worth asking again.

    Args:
        attempt: One try; raises MirrorFailure.
        have: Returns how many bytes are here.
        job: The deadline and the waits.

    Raises:
        MirrorFailure: The last try's, when it is not of the passing kind or too many in a row brought nothing new.
        DownloadStopped: The deadline would pass, or the job was called off.
    """
    patience = Patience(job.options, job.clock.random, have())

    def noted() -> None:
        try:
            attempt()
        except MirrorFailure:
            patience.note(have())
            raise

    tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, MirrorFailure) and error.transient),
        stop=patience.exhausted,
        wait=patience.delay,
        sleep=job.sleep,
        before_sleep=_log_retry,
        reraise=True,
    )(noted)


def _log_retry(state: tenacity.RetryCallState) -> None:
    failure = state.outcome.exception() if state.outcome else None
    logger.debug("trying again in %.1f s: %s", state.upcoming_sleep, failure)
