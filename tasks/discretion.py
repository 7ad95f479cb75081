"""What an error says goes to logs, to Prefect's database and onto its pages: nothing of an address goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from settings.locations import scrubbed


@contextmanager
def discreet() -> Iterator[None]:
    """Take the secrets of addresses out of what the block raises, with all that it was caused by.

    Raises:
        Exception: What the block raised, the very object.
    """
    try:
        yield
    except Exception as error:
        scrub(error)
        raise


def scrub(error: BaseException) -> None:
    """Take the secrets of addresses out of the texts of an error, of its causes, and of the errors that it wraps."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        # Set only where something is changed: the arguments of some errors of the system are more than texts.
        texts = tuple(scrubbed(part) if isinstance(part, str) else part for part in one.args)
        if texts != one.args:
            one.args = texts
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
