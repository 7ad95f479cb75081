"""Everything that a build finds out before anything is published: compiled, measured, simulated and judged variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect.futures import PrefectFuture, as_completed

from flows.findings import Findings
from flows.preflight import prepare
from flows.run_log import join_page
from flows.runner import tasks_on
from flows.variants import submit_variants
from settings.model import Settings
from tasks.calibration_checks import check_handed, check_set
from tasks.calibration_set import curate_images
from tasks.compile import import_network
from tasks.gate import gate
from tasks.gather import download_weights, gather
from tasks.provide import provide_toolchain
from tasks.publish import Results
from tasks.quantize import calibrate
from tasks.trace import trace
from tasks.validate import evaluate_network, evaluate_reference
from tasks.workspace import Workspace


def investigate(settings: Settings) -> Findings:
    """Do the work of a build, inside a flow.

    Args:
        settings: Everything that the build is told.

    Returns:
        What it found out; variants that do not pass the gate are among it.

    Raises:
        TaskError: A step failed.
        ClusterError: The settings name a scheduler, and it or its workers cannot do this.
    """
    join_page()
    workspace = prepare(settings).model_copy(update={"sharing": settings.exchange})
    with tasks_on(settings, workspace):
        return _investigate(settings, workspace)


def _investigate(settings: Settings, workspace: Workspace) -> Findings:
    spec, evaluation = settings.preprocess.spec(), settings.evaluation
    driving, judging, variants = settings.toolchain.driving, evaluation.judging, settings.variants()

    compiler = provide_toolchain(settings.toolchain, workspace)
    checkpoint = download_weights(settings.weights, workspace)
    traced = trace(checkpoint, settings.network, spec, workspace)
    images = gather(evaluation.source, "evaluation", evaluation.limit, 0, workspace)

    models = {
        batch: import_network.submit(traced, batch, compiler, driving, workspace)
        for batch in sorted({1, *(variant.batch for variant in variants)})
    }
    calibration = table = checks = handed = None
    if any(variant.precision == "int8" for variant in variants):
        wanted = settings.calibration
        candidates = gather(wanted.source, "calibration", None, wanted.seed, workspace)
        calibration = curate_images(candidates, images, wanted.curation, workspace)
        checks = check_set(calibration, candidates, images, wanted.count, wanted.missing_classes, workspace)
        table = calibrate.submit(models[1], calibration, spec, wanted.method, compiler, driving, workspace)
        handed = check_handed.submit(calibration, table, spec, workspace)

    network = evaluate_network.submit(checkpoint, settings.network, traced, images, spec, judging, workspace)
    reference = evaluate_reference.submit(traced, images, spec, judging, workspace)
    submitted = submit_variants(settings, models, table, traced, reference, images, compiler, workspace)
    settle([*models.values(), *(one for one in (table, handed) if one is not None), network, reference, *submitted])

    found = Results(
        checkpoint=checkpoint,
        calibration=calibration,
        table=None if table is None else table.result(),
        evaluation=images,
        compiled=tuple(submitted.compiled[variant].result() for variant in variants),
        network=network.result(),
        reference=reference.result(),
        measured=tuple(submitted.measured[rung].result() for rung in sorted(submitted.measured)),
        losses=tuple(submitted.losses[rung].result() for rung in sorted(submitted.losses)),
        simulated=tuple(submitted.simulated[variant].result() for variant in sorted(submitted.simulated)),
        verdicts=(),
        checks=() if checks is None or handed is None else (*checks.checks, *handed.result().checks),
        golden=submitted.golden_files(settings, workspace),
    )
    return Findings(settings, spec, compiler, _judged(found, settings, workspace), workspace)


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


def _judged(found: Results, settings: Settings, workspace: Workspace) -> Results:
    judgement = gate(
        found.compiled,
        found.measured,
        found.losses,
        found.simulated,
        found.reference,
        settings.gate,
        settings.simulator,
        settings.quantize,
        workspace,
    )
    return found.model_copy(update={"verdicts": judgement.verdicts})
