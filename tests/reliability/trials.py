"""A section of docs/reliability.md: one table of what was tried, how often, and what was lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.benchmarks.page import Section

NOTHING = "nothing"


@dataclass
class Trials(Section):
    """What one module of experiments has to say.

    Attributes:
        rows: What was tried, how often, what was lost, and what is to be known about it.
    """

    command: str = "make reliability"
    rows: list[tuple[str, int, str, str]] = field(default_factory=list)

    def tried(self, what: str, times: int, lost: str = NOTHING, note: str = "") -> None:
        """Add a row to the table.

        Args:
            what: What was done to it.
            times: How often.
            lost: What a user would miss; `nothing` where all held.
            note: What is to be known about it: seed, spread, how long.
        """
        self.rows.append((what, times, lost, note))

    def markdown(self) -> str:
        """The section as text: the table first."""
        told = list(self.parts)
        self.parts.clear()
        self.table(("tried", "how often", "lost", "what is to be known"), self.rows)
        self.parts += told
        text = super().markdown()
        self.parts[:] = told
        return text
