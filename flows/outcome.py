"""The end of a build: report, gate, publication."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from artifacts.errors import ArtifactError
from artifacts.files import atomic_write
from artifacts.measurements import MEASUREMENTS_TITLE, Measurements
from artifacts.release import ReleaseRecord
from artifacts.store import Blob
from flows.findings import Findings
from flows.story import tell_findings, tell_release
from settings.model import Settings
from tasks.errors import GateFailed
from tasks.materials import SBOM_TITLE, bill_of_materials
from tasks.measurements import measurements
from tasks.publish import CHANNEL, PublishedRelease, Results, publish
from tasks.push import push
from tasks.records import Evidence
from tasks.release_record import assemble, release_files
from tasks.report.page import PAGE_TITLE, draw_report
from tasks.report.text import about, failed, markdown, timings
from tasks.report.view import commands
from tasks.toolchain.releases import is_newer
from tasks.verdict.baseline import last_good
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

REPORT_NAME = "report.md"
KEPT_NAME = "not-published"


class Draft(NamedTuple):
    """A release before it is published.

    Attributes:
        record: What it says of itself.
        files: Its files, by title.
        measurements: All that was measured of it.
    """

    record: ReleaseRecord
    files: Mapping[str, Blob]
    measurements: Measurements


def conclude(findings: Findings) -> PublishedRelease:
    """Write the report; publish when every variant passed, else keep the bmodels for inspection and fail.

    Args:
        findings: What the build found out.

    Returns:
        The release.

    Raises:
        GateFailed: A variant did not pass.
        RegistryError: It is published here, but the server that it was to be pushed to does not take it.
    """
    return release(draft(findings), findings, CHANNEL)


def draft(findings: Findings) -> Draft:
    """Write the report, and put the release together when every variant passed; else keep the bmodels and fail.

    Args:
        findings: What the build found out.

    Returns:
        The release, not yet published.

    Raises:
        GateFailed: A variant did not pass.
    """
    settings, results, workspace = findings.settings, findings.results, findings.workspace
    compiler = f"{findings.compiler.name} {findings.compiler.version}"
    text = markdown(results, settings, compiler)
    path = report_path(settings)
    atomic_write(path, (text + "\n" + "\n".join(timings(_evidence(results)))).encode())
    drawn = draw_report(results, about(settings, compiler), commands(results), workspace)
    atomic_write(path.with_name(PAGE_TITLE), workspace.content.verified(drawn.page).read_bytes())
    tell_findings(findings, drawn)
    failures = failed(results.verdicts)
    if failures:
        kept = path.parent / KEPT_NAME
        _keep(results, kept, workspace)
        raise GateFailed({verdict.variant.path: verdict.reasons for verdict in failures}, path, kept)
    measured, content = measurements(results), workspace.content
    files = {
        **release_files(results, content.put_bytes(text.encode())),
        MEASUREMENTS_TITLE: content.put_bytes(measured.to_json()),
        PAGE_TITLE: drawn.page,
    }
    files[SBOM_TITLE] = content.put_bytes(bill_of_materials(results, files, settings, findings.compiler))
    record = assemble(results, files, settings, findings.spec, findings.compiler, workspace)
    return Draft(record, files, measured)


def release(drafted: Draft, findings: Findings, channel: str | None) -> PublishedRelease:
    """Publish a release, and push it where the settings say so.

    Args:
        drafted: The release.
        findings: What it was made of.
        channel: What is moved to it; None for a release that can be had by its version alone.

    Returns:
        Where it is.

    Raises:
        RegistryError: It is published here, but the server that it was to be pushed to does not take it.
    """
    settings = findings.settings
    if channel is not None:
        _warn_of_an_older_compiler(findings, channel)
    published = publish(drafted.record, drafted.files, settings, findings.workspace, channel)
    home = settings.release.push
    if home is not None:
        published = push(published, home, settings.release.signing_key, channel)
    tell_release(published, findings)
    return published


def _warn_of_an_older_compiler(findings: Findings, channel: str) -> None:
    # The watch took a newer one, and the profile still names the one before.
    with suppress(ArtifactError):  # what is wrong with the registry, publishing tells
        good = last_good(findings.settings.release.model_copy(update={"push": None}))
        if good is not None and is_newer(good.compiler, findings.compiler.version):
            log.warning(
                "%s was made by compiler %s and turns back to %s now: set toolchain.version to %s to stay with it",
                channel,
                good.compiler,
                findings.compiler.version,
                good.compiler,
            )


def report_path(settings: Settings) -> Path:
    """Return where a build's report is written: beside the release's folder."""
    return Path(settings.release.folder).parent / REPORT_NAME


def _keep(results: Results, folder: Path, workspace: Workspace) -> None:
    # What an earlier build kept there would be taken for this one's; whatever else lies there is not ours.
    for earlier in folder.rglob("*.bmodel"):
        earlier.unlink(missing_ok=True)
    for compiled in results.compiled:
        atomic_write(folder / compiled.variant.path, workspace.content.verified(compiled.bmodel).read_bytes())


def _evidence(results: Results) -> list[tuple[str, Evidence]]:
    found = [(compiled.variant.path, compiled.evidence) for compiled in results.compiled]
    return [("calibration", results.table.evidence), *found] if results.table else found
