"""Finding the first bad one of a row of releases, with as few trials as possible. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

Outcome = Literal["good", "bad", "skipped"]


def first_bad(releases: Sequence[str], tried: Callable[[str], Outcome]) -> tuple[str, ...]:
    """Halve a row of releases until the step from good to bad is found.

    Args:
        releases: In order; the first is known to be good, the last to be bad.
        tried: Tries one of those between; `skipped` where nothing can be said of it, then its neighbours are tried.

    Returns:
        The first bad release. Where releases next to it could not be tried, those too, in order: one of them is it.
        What is bad stays bad in all later releases, or one such step is found, not necessarily the first.
    """
    low, high = 0, len(releases) - 1
    skipped: set[int] = set()
    while True:
        untried = [index for index in range(low + 1, high) if index not in skipped]
        if not untried:
            return tuple(releases[low + 1 : high + 1])
        middle = min(untried, key=lambda index: abs(2 * index - low - high))
        outcome = tried(releases[middle])
        if outcome == "good":
            low = middle
        elif outcome == "bad":
            high = middle
        else:
            skipped.add(middle)
