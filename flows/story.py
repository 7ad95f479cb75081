"""What the page of a flow run tells: Prefect artifacts, made from the report.

They are for people. One that cannot be written is a warning in the log, and never the end of a build.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext

from flows.findings import Findings
from flows.story_text import refusal, release_text, summary
from tasks.publish import PublishedRelease
from tasks.report.page import Drawn
from tasks.report.text import VARIANT_HEADING, ladder, variant_rows
from tasks.report.view import Sheet, classes, reasons, ways

log = logging.getLogger(__name__)


def tell_findings(findings: Findings, drawn: Drawn) -> None:
    """Write summary and tables, and what the gate says where it does not let the release pass.

    Args:
        findings: What the build found out, judged.
        drawn: Its report.
    """
    results, profile = findings.results, findings.settings.profile
    with _for_people("the summary"):
        refused = reasons(results)
        _markdown(f"{profile}-summary", summary(findings, drawn), "What was made, and how near it is to the original")
        _table(f"{profile}-variants", VARIANT_HEADING, variant_rows(results), "One row a bmodel")
        _table(f"{profile}-ladder", *ladder(results), "Every rung with what it loses")
        by_class = classes(results)
        if by_class is not None:
            _table(f"{profile}-classes", by_class.heading, _texts(by_class), by_class.caption)
        tried = ways(results)
        if tried is not None:
            _table(f"{profile}-ways", tried.heading, _texts(tried), "The ways to make int8 that were tried")
        if refused:
            _markdown(f"{profile}-gate", refusal(refused, findings.settings), "Why nothing was published")


def tell_release(published: PublishedRelease, findings: Findings) -> None:
    """Write where the release is and how it is run.

    Args:
        published: The release.
        findings: What it was made of.
    """
    with _for_people("the release"):
        text = release_text(published, findings)
        _markdown(f"{findings.settings.profile}-release", text, f"Release {published.version}")


def tell_verdict(markdown: str, key: str) -> None:
    """Write a comparison of two releases.

    Args:
        markdown: What it says.
        key: Under which name the artifacts page keeps its history, such as `sample-verdict`.
    """
    with _for_people("the verdict"):
        _markdown(key, markdown, "The new release beside the last good one")


@contextmanager
def _for_people(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # such as a server that does not answer: nobody builds for the page's sake
        log.warning("%s could not be written to the page of the run: %s: %s", what, type(error).__name__, error)


def _markdown(key: str, text: str, description: str) -> None:
    if _in_a_run():
        create_markdown_artifact(text, key=slug(key), description=description)


def _table(key: str, heading: Sequence[str], rows: Sequence[Sequence[str]], description: str) -> None:
    if _in_a_run():
        table = [dict(zip(heading, row, strict=True)) for row in rows]
        create_table_artifact(table, key=slug(key), description=description)


def _texts(sheet: Sheet) -> list[tuple[str, ...]]:
    return [tuple(cell.text for cell in row) for row in sheet.rows]


def _in_a_run() -> bool:
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def slug(text: str) -> str:
    """Make a key of a text: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
