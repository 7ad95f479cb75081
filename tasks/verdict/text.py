"""A comparison of two releases as a page to read. Pure; equal comparisons give equal pages, so no time is in it."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.markdown import table
from tasks.verdict.compare import MEASURE_WORDS, Comparison, Difference, allowed, value

_HEADING = ("where", "what", "last good", "new", "allowed")
_TOLD = 6
_MARKUP = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "&": "&amp;", "\n": " ", "`": "'"})


def verdict_page(comparison: Comparison) -> str:
    """Write a verdict: what it is, why, what got worse, and everything that was compared.

    Args:
        comparison: The two releases.

    Returns:
        Markdown.
    """
    good, new, worse = comparison.good, comparison.new, comparison.worse
    lines = [f"# {new.compiler}: {'held' if comparison.held else 'not worse'}", ""]
    lines += [f"Release {new.version} against the last good one, {good.version} by {good.compiler}.", ""]
    if comparison.held:
        lines += ["It can be had by its version; no channel was moved to it, because:", ""]
        lines += [*(f"- {_plain(reason)}" for reason in comparison.reasons), ""]
    elif comparison.differences:
        lines += [f"None of {len(comparison.differences)} figures is worse by more than its margin.", ""]
    lines += [line for note in comparison.notes for line in (_plain(note), "")]
    if worse:
        lines += ["## What got worse", "", *table(_HEADING, _rows(worse)), ""]
    if comparison.differences:
        lines += ["## Everything that was compared", "", *table(_HEADING, _rows(comparison.differences)), ""]
    return "\n".join(lines)


def summary(comparison: Comparison) -> str:
    """Say in one line what came out."""
    if comparison.held:
        told, more = comparison.reasons[:_TOLD], len(comparison.reasons) - _TOLD
        return ". ".join((*told, f"And {more} more" if more > 0 else "")).strip(". ")
    return f"none of {len(comparison.differences)} figures is worse by more than its margin"


def _rows(differences: Iterable[Difference]) -> Iterable[tuple[str, ...]]:
    for one in differences:
        detail = f" of {one.key.detail}" if one.key.detail else ""
        what = _plain(MEASURE_WORDS[one.key.measure] + detail)
        yield _plain(one.key.subject), what, value(one, one.old), value(one, one.new), allowed(one)


def _plain(text: str) -> str:
    # Names of classes and files come from elsewhere and must not become markup of the page.
    return text.translate(_MARKUP)
