"""Everything that a build finds out before anything is published: compiled, measured, simulated and judged variants."""

from __future__ import annotations

from flows.escalate import Escalation, escalate
from flows.findings import Findings
from flows.preflight import prepare
from flows.run_log import join_page
from flows.runner import tasks_on
from flows.settling import settle
from flows.variants import Ground, Int8, Variants, rung_of, submit_variants
from settings.model import Settings
from tasks.attempts import NO_LABEL
from tasks.calibration_checks import check_handed, check_set
from tasks.calibration_set import curate_images
from tasks.compile import import_network
from tasks.gate import gate
from tasks.gather import download_weights, gather
from tasks.golden import golden_images
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
    ground = Ground(settings, models, traced, reference, images, compiler, workspace)
    first = Int8(table, settings.quantize.recipe, NO_LABEL)
    submitted = Variants(scenes=golden_images(spec, workspace))
    submit_variants(ground, first, variants, submitted)
    settle([*models.values(), *(one for one in (table, handed) if one is not None), network, reference, *submitted])
    escalation = Escalation() if calibration is None else escalate(ground, submitted, first, calibration)
    for rung, way in escalation.ways.items():
        submitted.drop(rung)
        submit_variants(ground, way, [one for one in variants if rung_of(one) == rung], submitted)
    settle(list(submitted))

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
        attempts=escalation.attempts(),
        sensitivities=tuple(escalation.sensitivities[rung] for rung in sorted(escalation.sensitivities)),
    )
    return Findings(settings, spec, compiler, _judged(found, settings, workspace), workspace)


def _judged(found: Results, settings: Settings, workspace: Workspace) -> Results:
    judgement = gate(
        found.compiled,
        found.measured,
        found.losses,
        found.simulated,
        found.reference,
        settings.gate,
        settings.simulator,
        workspace,
    )
    return found.model_copy(update={"verdicts": judgement.verdicts})
