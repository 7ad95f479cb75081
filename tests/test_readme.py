"""README.zh.md says what README.md says: the same sections, commands, names, links and numbers.

Whoever changes one changes the other, which has the same sections in the same order: a failure names the section and
what is in one of them only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)]+)\)")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-\d+)?")
_COMMAND = re.compile(r"(\.venv/bin/)?(python3? -m |prefect |pip |uv |make |apt-get |flows\.)")
# The links between the two are looked at for themselves.
_EACH_OTHER = ("README.md", "README.zh.md")


class Section(NamedTuple):
    """One section: the level of its heading, its blocks of code, and its text without them."""

    level: int
    blocks: list[tuple[str, str]]
    text: str


def sections(text: str) -> list[Section]:
    blocks: list[tuple[str, str]] = []

    def noted(found: re.Match[str]) -> str:
        blocks.append((found[1], found[2]))
        return f"\0{len(blocks) - 1}\0"

    # The blocks go first: their comments look like headings.
    parts = re.split(r"^(#+) .*$", _FENCE.sub(noted, text), flags=re.M)[1:]
    found = []
    for marks, body in zip(parts[::2], parts[1::2], strict=True):
        own = [blocks[int(number)] for number in re.findall("\0(\\d+)\0", body)]
        found.append(Section(len(marks), own, re.sub("\0\\d+\0", "", body)))
    return found


def without_comments(block: str) -> list[str]:
    # A comment is translated; what stands before it is not.
    return [
        line for line in (re.sub(r"(^|\s)\s*# .*|(^|\s)\s*#.*", "", one).rstrip() for one in block.splitlines()) if line
    ]


def codes(section: Section) -> list[str]:
    return [" ".join(code.split()) for code in _CODE.findall(section.text)]


def rows(section: Section) -> list[list[str]]:
    lines = [line for line in section.text.splitlines() if line.startswith("|")]
    return [_NUMBER.findall(line) for line in lines]


def numbers(section: Section) -> list[str]:
    prose = "\n".join(line for line in section.text.splitlines() if not line.startswith("|"))
    return _NUMBER.findall(_LINK.sub("]", _CODE.sub("", prose)))


@pytest.fixture(scope="module")
def both() -> list[tuple[str, Section, Section]]:
    """Each section of the two, with its English heading."""
    english, chinese = (path.read_text() for path in (ENGLISH, CHINESE))
    titles = re.findall(r"^#+ (.*)$", _FENCE.sub("", english), flags=re.M)
    ours, theirs = sections(english), sections(chinese)
    levels = [[one.level for one in each] for each in (ours, theirs)]
    assert levels[0] == levels[1], "one of the two has a section that the other has not, or at another level"
    return list(zip(titles, ours, theirs, strict=True))


Both = list[tuple[str, Section, Section]]


def test_blocks_of_code_are_the_same_but_for_their_comments(both: Both) -> None:
    for title, ours, theirs in both:
        said = [[(kind, without_comments(block)) for kind, block in one.blocks] for one in (ours, theirs)]
        assert said[0] == said[1], f"section {title!r}: the blocks of code differ"


def test_commands_in_the_text_come_in_the_same_order(both: Both) -> None:
    for title, ours, theirs in both:
        said = [[code for code in codes(one) if _COMMAND.match(code)] for one in (ours, theirs)]
        assert said[0] == said[1], f"section {title!r}: the commands in the text differ"


@pytest.mark.parametrize(
    ("what", "taken"),
    [
        ("names in code", codes),
        ("links", lambda one: [link for link in _LINK.findall(one.text) if link not in _EACH_OTHER]),
        ("numbers", numbers),
    ],
)
def test_neither_says_what_the_other_does_not(what: str, taken: Callable[[Section], list[str]], both: Both) -> None:
    for title, ours, theirs in both:
        english, chinese = Counter(taken(ours)), Counter(taken(theirs))
        told = f"only in README.md {sorted(english - chinese)}, only in README.zh.md {sorted(chinese - english)}"
        assert english == chinese, f"section {title!r}: {what}: {told}"


def test_tables_have_the_same_numbers_in_the_same_places(both: Both) -> None:
    for title, ours, theirs in both:
        assert rows(ours) == rows(theirs), f"section {title!r}: the tables differ"


def test_each_leads_to_the_other() -> None:
    for path, other in ((ENGLISH, CHINESE), (CHINESE, ENGLISH)):
        assert f"]({other.name})" in "\n".join(path.read_text().splitlines()[:4])


def test_the_links_lead_somewhere() -> None:
    for link in _LINK.findall(CHINESE.read_text()):
        assert link.startswith("https://") or (ROOT / link).exists(), link
