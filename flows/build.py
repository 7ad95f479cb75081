"""Build a release: python -m flows.build [--profile NAME|PATH.toml] [--set key=value ...] [--explain]"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":
    # Before the imports: they take seconds, which a mistake in the settings should not wait for.
    from flows.command import run_build

    sys.exit(run_build(sys.argv[1:]))

from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.task_runners import ThreadPoolTaskRunner

from flows.outcome import conclude, judged, settle
from flows.preflight import prepare
from flows.variants import submit_variants
from settings.model import Settings
from tasks.calibration_set import curate_images
from tasks.compile import import_network
from tasks.gather import download_weights, gather
from tasks.provide import provide_toolchain
from tasks.publish import PublishedRelease, Results
from tasks.quantize import calibrate
from tasks.trace import trace
from tasks.validate import evaluate_network, evaluate_reference


@flow(name="build", validate_parameters=True)
def build(settings: Settings) -> PublishedRelease:
    """Turn weights into validated bmodels and publish them, or say why not.

    Args:
        settings: Everything that the build is told.

    Returns:
        The release.

    Raises:
        GateFailed: A variant misses the thresholds.
        TaskError: A step failed.
    """
    workspace, spec, evaluation = prepare(settings), settings.preprocess.spec(), settings.evaluation
    driving, judging, variants = settings.toolchain.driving, evaluation.judging, settings.variants()

    compiler = provide_toolchain(settings.toolchain, workspace)
    checkpoint = download_weights(settings.weights, workspace)
    traced = trace(checkpoint, settings.network, spec, workspace)
    images = gather(evaluation.source, "evaluation", evaluation.limit, 0, workspace)

    models = {
        batch: import_network.submit(traced, batch, compiler, driving, workspace)
        for batch in sorted({1, *(variant.batch for variant in variants)})
    }
    calibration = table = None
    if any(variant.precision == "int8" for variant in variants):
        wanted = settings.calibration
        candidates = gather(wanted.source, "calibration", None, wanted.seed, workspace)
        calibration = curate_images(candidates, images, wanted.curation, workspace)
        table = calibrate.submit(models[1], calibration, spec, wanted.method, compiler, driving, workspace)

    network = evaluate_network.submit(checkpoint, settings.network, traced, images, spec, judging, workspace)
    reference = evaluate_reference.submit(traced, images, spec, judging, workspace)
    submitted = submit_variants(settings, models, table, traced, reference, images, compiler, workspace)
    settle([*models.values(), *([] if table is None else [table]), network, reference, *submitted])

    found = Results(
        checkpoint=checkpoint,
        calibration=calibration,
        table=None if table is None else table.result(),
        evaluation=images,
        compiled=tuple(submitted.compiled[variant].result() for variant in variants),
        network=network.result(),
        reference=reference.result(),
        measured=tuple(submitted.measured[rung].result() for rung in sorted(submitted.measured)),
        simulated=tuple(submitted.simulated[variant].result() for variant in sorted(submitted.simulated)),
        verdicts=(),
        golden=submitted.golden_files(settings, workspace),
    )
    return conclude(judged(found, settings, workspace), settings, spec, compiler, workspace)


def configured(workers: int, started: Callable[[str], object]) -> Flow[[Settings], PublishedRelease]:
    """Return the flow as one process runs it.

    Args:
        workers: Tasks at a time.
        started: Called with the flow run's id when it begins.
    """

    def on_running(flow: Flow[[Settings], PublishedRelease], flow_run: FlowRun, state: State[Any]) -> None:
        started(str(flow_run.id))

    runner: Any = ThreadPoolTaskRunner(max_workers=workers)
    return build.with_options(task_runner=runner, on_running=[on_running])
