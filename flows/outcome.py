"""The end of a build: report, gate, publication."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.futures import PrefectFuture, as_completed

from artifacts.files import atomic_write, remove_tree
from artifacts.release import PreprocessSpec
from settings.model import Settings
from tasks.errors import GateFailed
from tasks.gate import gate
from tasks.publish import PublishedRelease, Results, assemble, publish, release_files
from tasks.push import push
from tasks.records import Evidence
from tasks.report import failed, markdown, timings
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace

REPORT_NAME = "report.md"
KEPT_NAME = "not-published"


def judged(found: Results, settings: Settings, workspace: Workspace) -> Results:
    """Let the gate judge what a build found out.

    Args:
        found: What it found out, without verdicts.
        settings: The thresholds.
        workspace: Where bytes are kept.

    Returns:
        The same with a verdict on every variant.
    """
    judgement = gate(
        found.compiled,
        found.measured,
        found.simulated,
        found.reference,
        settings.gate,
        settings.simulator,
        settings.quantize,
        workspace,
    )
    return found.model_copy(update={"verdicts": judgement.verdicts})


def conclude(
    results: Results, settings: Settings, spec: PreprocessSpec, compiler: Toolchain, workspace: Workspace
) -> PublishedRelease:
    """Write the report; publish when every variant passed, else keep the bmodels for inspection and fail.

    Args:
        results: What the build found out.
        settings: What it was told.
        spec: How an image becomes the input tensor.
        compiler: The toolchain.
        workspace: Where bytes are kept.

    Returns:
        The release.

    Raises:
        GateFailed: A variant did not pass.
        RegistryError: It is published here, but the server that it was to be pushed to does not take it.
    """
    text = markdown(results, settings, f"{compiler.name} {compiler.version}")
    path = report_path(settings)
    atomic_write(path, (text + "\n" + "\n".join(timings(_evidence(results)))).encode())
    failures = failed(results.verdicts)
    if failures:
        kept = path.parent / KEPT_NAME
        _keep(results, kept, workspace)
        raise GateFailed({verdict.variant.path: verdict.reasons for verdict in failures}, path, kept)
    files = release_files(results, workspace.content.put_bytes(text.encode()))
    record = assemble(results, files, settings, spec, compiler, workspace)
    published = publish(record, files, settings, workspace)
    release = settings.release
    return published if release.push is None else push(published, release.push, release.signing_key)


def settle(futures: Sequence[PrefectFuture[Any]]) -> None:
    """Wait for tasks, and raise what the first that failed raised.

    A task whose input failed does not run at all, and asking it for its result hides the cause: name those inputs too.

    Args:
        futures: All tasks that were submitted.

    Raises:
        Exception: That of the task that failed.
    """
    for future in as_completed(list(futures)):
        # Without this the state is asked of the server, which lags behind and may still call a failed task running.
        future.wait()
        if future.state.is_failed() or future.state.is_crashed():
            future.result(raise_on_failure=True)


def report_path(settings: Settings) -> Path:
    """Return where a build's report is written: beside the release's folder."""
    return Path(settings.release.folder).parent / REPORT_NAME


def _keep(results: Results, folder: Path, workspace: Workspace) -> None:
    # What an earlier build kept there would be taken for this one's.
    remove_tree(folder)
    for compiled in results.compiled:
        atomic_write(folder / compiled.variant.path, workspace.content.verified(compiled.bmodel).read_bytes())


def _evidence(results: Results) -> list[tuple[str, Evidence]]:
    found = [(compiled.variant.path, compiled.evidence) for compiled in results.compiled]
    return [("calibration", results.table.evidence), *found] if results.table else found
