"""Writing Markdown. Pure, and free of all that takes long to import."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*\[\]<>|&])")


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a Markdown table, one line a row."""
    lines = ["| " + " | ".join(heading) + " |", "|" + " --- |" * len(heading)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def escaped(text: str) -> str:
    """Write a name, of which anything may be part, so that Markdown and HTML show it as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
