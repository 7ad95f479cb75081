"""What can be wrong with settings: every problem of a load, told together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the settings.

    Attributes:
        key: dotted key, as `--set` takes it; or the name of the thing that could not be read.
        what: what is wrong, on one line.
        origin: where the value came from: a profile, an environment variable or `--set`; empty where nothing gave one.
        allowed: what would be right; empty where `what` says it.
    """

    key: str
    what: str
    origin: str = ""
    allowed: str = ""

    def __str__(self) -> str:
        """The problem on one line."""
        origin = f" (from {self.origin})" if self.origin else ""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        text = f"{self.key}: {self.what}{origin}{allowed}"
        # The name of a variable may hold anything: bytes that are no text, and what moves a terminal's cursor.
        return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


class SettingsError(Exception):
    """The settings cannot be used; the message has one line a problem.

    Attributes:
        problems: every problem found: what could not be read first, then in the order of the settings.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        """All problems, one a line, and what to do."""
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        return f"{count} in the settings, nothing was started. Correct what is listed, then start again:\n{lines}"
