"""The root of all errors of the tasks."""

from __future__ import annotations

from collections.abc import Callable


class TaskError(Exception):
    """Root of every failure that a step reports on purpose."""

    def __reduce__(self) -> tuple[Callable[..., TaskError], tuple[object, ...]]:
        # An exception is rebuilt from its arguments by default, which are not those of our constructors.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[TaskError], args: tuple[object, ...], facts: dict[str, object]) -> TaskError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error
