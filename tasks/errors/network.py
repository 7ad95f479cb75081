"""A checkpoint or a network that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.errors.base import TaskError


class UnknownNetwork(TaskError):
    """No network of that name can be built.

    Attributes:
        name: what was asked for.
        known: the names that exist.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"no network is called {name!r}; known: {', '.join(known)}. Correct network.name in the profile."
        )
        self.name = name
        self.known = tuple(known)


class CheckpointError(TaskError):
    """A checkpoint cannot be read, or does not fit its network.

    Attributes:
        path: the file.
        problems: kind of misfit to the entries that have it, all of them; the message names the first ten of each.
    """

    def __init__(
        self, path: Path, what: str, advice: str, *, problems: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        found = {kind: tuple(entries) for kind, entries in (problems or {}).items() if entries}
        listed = "".join(
            f"\n  {len(entries)} {kind}: {', '.join(entries[:10])}"
            + (f" and {len(entries) - 10} more" if len(entries) > 10 else "")
            for kind, entries in found.items()
        )
        super().__init__(f"{path} {what}{':' if listed else '.'}{listed}{chr(10) if listed else ' '}{advice}")
        self.path = path
        self.problems = found


class TraceError(TaskError):
    """The network cannot be traced, or its trace is not the network."""
