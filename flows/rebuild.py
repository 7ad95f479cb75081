"""A build with another compiler, and what becomes of its release: it takes the good one's place, or is held."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from prefect.events import emit_event

from artifacts.files import atomic_write
from flows.investigate import investigate
from flows.outcome import draft, release, report_path
from flows.story import tell_verdict
from settings.model import Settings
from tasks.publish import CHANNEL, PublishedRelease
from tasks.verdict.baseline import LastGood, last_good
from tasks.verdict.compare import Comparison, compare
from tasks.verdict.figures import Side
from tasks.verdict.text import verdict_page

log = logging.getLogger(__name__)

HELD_EVENT = "centernet.release.held"
VERDICTS = "watch"


class Rebuilt(NamedTuple):
    """What came of a build with another compiler.

    Attributes:
        published: The release.
        comparison: How it compares with the last good one; None where there was none to compare with.
        verdict: The page about that, None likewise.
    """

    published: PublishedRelease
    comparison: Comparison | None
    verdict: Path | None

    @property
    def held(self) -> bool:
        """Whether no channel was moved to it."""
        return self.comparison is not None and self.comparison.held


def rebuild(settings: Settings, compiler: str) -> Rebuilt:
    """Build everything with another compiler, inside a flow, and compare with the last good release.

    Args:
        settings: Everything that a build is told.
        compiler: Release of the compiler; the settings' own is not looked at.

    Returns:
        The release: named by `latest` where nothing got worse, else to be had by its version alone.

    Raises:
        GateFailed: A variant misses the thresholds; nothing was published.
        TaskError: A step failed; nothing was published.
    """
    settings = with_compiler(settings, compiler)
    findings = investigate(settings)
    drafted = draft(findings)
    published = release(drafted, findings, None)
    good, comparison = _judged(Side(drafted.record, drafted.measurements), published, settings)
    verdict = None
    if good is not None and comparison is not None:
        verdict = _tell(comparison, good, published, settings)
    if comparison is None or not comparison.held:
        there = published.changed
        published = release(drafted, findings, CHANNEL)
        published = published.model_copy(update={"changed": published.changed or there})
    return Rebuilt(published, comparison, verdict)


def verdict_path(settings: Settings, version: str) -> Path:
    """Return where the verdict about a release is written: beside the build's report."""
    return report_path(settings).parent / VERDICTS / f"{version}.md"


def with_compiler(settings: Settings, version: str) -> Settings:
    """Return settings for a build with another compiler."""
    toolchain = settings.toolchain.model_copy(update={"version": version})
    # A version that somebody chose names what the compiler before made; one is never given twice.
    unnamed = settings.release.model_copy(update={"version": None})
    return settings.model_copy(update={"toolchain": toolchain, "release": unnamed})


def _judged(new: Side, published: PublishedRelease, settings: Settings) -> tuple[LastGood | None, Comparison | None]:
    """Compare with what `latest` names until that is what was compared: a build may publish in the meantime."""
    judged, comparison = None, None
    while (good := last_good(settings.release)) is not None:
        if good.digest == published.digest or (judged is not None and good.digest == judged.digest):
            break
        judged, comparison = good, compare(good.side, new, settings.margins)
    return judged, comparison


def _tell(comparison: Comparison, good: LastGood, published: PublishedRelease, settings: Settings) -> Path:
    page, path = verdict_page(comparison), verdict_path(settings, published.version)
    tell_verdict(page, f"{settings.profile}-verdict")
    known = path.read_text() if path.is_file() else None
    if comparison.held and known != page:
        # Before the page is written: a run that is killed in between tells it once more rather than never.
        _announce(comparison, good, published, settings.release.name, path)
    atomic_write(path, page.encode())
    return path


def _announce(comparison: Comparison, good: LastGood, published: PublishedRelease, name: str, path: Path) -> None:
    emit_event(
        event=HELD_EVENT,
        resource={"prefect.resource.id": f"centernet.release.{name}", "prefect.resource.name": name},
        payload={
            "reasons": list(comparison.reasons),
            "held": {**comparison.new.model_dump(), "digest": published.digest},
            "good": {**comparison.good.model_dump(), "digest": good.digest},
            "verdict": str(path),
        },
    )
