"""The pages under docs/ that are measured: a section for each module, replaced as a whole when that was run again."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"

_HEAD = """# Benchmarks

Measured by `make bench`, which writes this page; `make bench ONLY=NAME` measures one section again. Times on a shared
machine are noisy: the medians are to be compared within a section, which was measured in one run, and the ratios to be
believed before them. Nothing here was measured on a chip: latencies are the compiler's estimates, where they occur.
"""

_ELSEWHERE = """# {title}

Written by `make bench`, section by section.
"""
_TITLES = {"calibration.md": "Experiments with calibration", "heads.md": "How the three heads leave an int8 network"}

_RELIABILITY = """# Reliability

What was tried against this project on purpose, how often, and what was lost. Written by `make reliability`, section by
section; `make reliability ONLY=NAME` tries one again. Smaller counts of the same run with every `make test`. *Lost* is
what a user would miss: something acknowledged that was gone, something wrong that was used, something left behind. What
was found on the way and mended is told where it was found.
"""

_SECTION = "<!-- {name} -->\n"


@dataclass
class Section:
    """What one module of benchmarks has to say.

    Attributes:
        name: By which it is run again.
        title: Its heading.
        about: What is measured, as Markdown.
        packages: Packages whose versions have a say.
        parts: Tables and sentences, as Markdown, in their order.
        command: What the user runs to have it done again.
    """

    name: str
    title: str
    about: str
    packages: Sequence[str] = ()
    parts: list[str] = field(default_factory=list)
    command: str = "make bench"

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table."""
        lines = [header, ["---"] * len(header), *rows]
        self.parts.append("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))

    def say(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(text.strip())

    def markdown(self) -> str:
        """The section as text."""
        command = f"`{self.command} ONLY={self.name}`, {datetime.now(UTC):%Y-%m-%d}, {machine()}"
        used = ", ".join(f"{name} {metadata.version(name)}" for name in self.packages)
        setting = f"{command}; Python {platform.python_version()}{', ' + used if used else ''}."
        return "\n\n".join([f"## {self.title}", self.about, setting, *self.parts]) + "\n"


def put(section: Section, page: Path) -> None:
    """Write a section into a page, in place of an earlier one of its name."""
    text = page.read_text() if page.is_file() else _head(page.name)
    mark = _SECTION.format(name=section.name)
    before, _, rest = text.partition(mark)
    after = re.search(r"^<!-- \w+ -->\n", rest, re.M)
    page.write_text(
        before.rstrip("\n") + "\n\n" + mark + section.markdown() + ("\n" + rest[after.start() :] if after else "")
    )


def _head(page: str) -> str:
    if page == "reliability.md":
        return _RELIABILITY
    return _ELSEWHERE.format(title=_TITLES[page]) if page in _TITLES else _HEAD


def machine() -> str:
    """What the numbers were measured on."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"
