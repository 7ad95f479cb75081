"""Does something grow? Samples of a process over time, and the slope through them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

MIB = 2.0**20


class Sample(NamedTuple):
    """A process at one moment.

    Attributes:
        at: After how many rounds, images or seconds.
        resident_mib: Its resident memory.
        descriptors: How many it has open.
        threads: How many it has.
    """

    at: float
    resident_mib: float
    descriptors: int
    threads: int


@dataclass
class Watched:
    """A process that is sampled now and then."""

    pid: int = field(default_factory=os.getpid)
    samples: list[Sample] = field(default_factory=list)

    def look(self, at: float) -> Sample:
        """Take a sample."""
        place = Path("/proc") / str(self.pid)
        pages = int((place / "statm").read_text().split()[1])
        now = Sample(
            at,
            pages * os.sysconf("SC_PAGE_SIZE") / MIB,
            len(list((place / "fd").iterdir())),
            len(list((place / "task").iterdir())),
        )
        self.samples.append(now)
        return now

    @property
    def settled(self) -> list[Sample]:
        """The later two thirds, in which nothing is loaded for the first time."""
        return self.samples[len(self.samples) // 3 :]

    def grows(self) -> float:
        """MiB of resident memory for each unit of `at`, by least squares over the later two thirds."""
        return slope([(one.at, one.resident_mib) for one in self.settled])

    def keeps_descriptors(self, passing: int) -> bool:
        """Whether none stay open, but for so many that are open for a moment."""
        half = len(self.settled) // 2
        early, late = ({one.descriptors for one in part} for part in (self.settled[:half], self.settled[half:]))
        return min(late) == min(early) and max(early | late) <= min(early) + passing

    def told(self, unit: str, per: float) -> str:
        """What became of it, in words."""
        first, last = self.settled[0], self.settled[-1]
        grows = f"{self.grows() * per:+.3f} MiB per {per:.0f}"
        descriptors = _spread({one.descriptors for one in self.settled})
        threads = _spread({one.threads for one in self.settled})
        return (
            f"resident {first.resident_mib:.1f} MiB after {first.at:.0f} {unit}, {last.resident_mib:.1f} after "
            f"{last.at:.0f}, slope {grows}; file descriptors {descriptors}, threads {threads}"
        )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the line of least squares."""
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def _spread(values: set[int]) -> str:
    return str(min(values)) if len(values) == 1 else f"{min(values)} to {max(values)}"


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._started
