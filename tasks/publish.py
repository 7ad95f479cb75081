"""From judged variants to an immutable release in the registry, and to a folder beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from artifacts import layout
from artifacts.attachments import LayoutPlace
from artifacts.digest import canonical_json, digest_bytes, hex_of
from artifacts.measurements import Loss
from artifacts.release import (
    Accuracy,
    Calibration,
    GateOutcome,
    HeadDistance,
    PreprocessSpec,
    Protocol,
    Provenance,
    ReleaseRecord,
    SimulatorEvidence,
    Toolchain,
    VariantRecord,
)
from artifacts.store import Blob
from inference.annotations import dataset_digest
from settings.model import Settings
from tasks.calibration_checks import Check
from tasks.coco import parse_dataset
from tasks.gate import tolerance
from tasks.judgement import MeasuredLoss, Verdict
from tasks.records import CalibrationSet, CalibrationTable, Checkpoint, Compiled, ImageSet, Measured, Simulated
from tasks.signing import promote, sign_release, subject_at
from tasks.signing_key import load_signer
from tasks.toolchain.model import Toolchain as Compiler
from tasks.workspace import Workspace

CHANNEL = "latest"
METRIC = "COCO bbox AP@[.50:.95]"
MANIFEST_TITLE = "calibration.json"
CONTACT_SHEET_TITLE = "calibration.jpg"
REPORT_TITLE = "report.md"


class Results(BaseModel):
    """Everything that a build found out, in the order of the bmodels where there is one a bmodel.

    Attributes:
        checkpoint: The weights.
        calibration: The curated set, None without int8 variants.
        table: The ranges, None without int8 variants.
        evaluation: The evaluation set.
        compiled: The bmodels.
        network: The eager network's accuracy.
        reference: The TorchScript's.
        measured: One rung for each chip and precision.
        losses: What each of them loses against the TorchScript.
        simulated: One result for each bmodel that was run in the simulator.
        verdicts: One a bmodel.
        checks: What was checked of the calibration; none without int8 variants.
        golden: The golden inputs and outputs, by title.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: Checkpoint
    calibration: CalibrationSet | None
    table: CalibrationTable | None
    evaluation: ImageSet
    compiled: tuple[Compiled, ...]
    network: Measured
    reference: Measured
    measured: tuple[Measured, ...]
    losses: tuple[MeasuredLoss, ...] = ()
    simulated: tuple[Simulated, ...]
    verdicts: tuple[Verdict, ...]
    checks: tuple[Check, ...] = ()
    golden: Mapping[str, Blob] = Field(default_factory=dict)

    def rung(self, compiled: Compiled) -> Measured:
        """The rung that was measured for a bmodel's chip and precision."""
        wanted = (compiled.variant.chip, compiled.variant.precision)
        return next(one for one in self.measured if one.variant and (one.variant.chip, one.variant.precision) == wanted)

    def loss(self, rung: Measured) -> Loss | None:
        """What a rung loses against the TorchScript, None where that was not measured."""
        return next((one.bounds for one in self.losses if one.variant == rung.variant), None)

    def matching_scores(self, rung: Measured) -> tuple[tuple[float, float], ...]:
        """The TorchScript's scores, each with the score at which a rung finds as many objects."""
        return next((one.scores for one in self.losses if one.variant == rung.variant), ())

    def simulation(self, compiled: Compiled) -> Simulated | None:
        """What the simulator gave for a bmodel, None where it was not run."""
        return next((one for one in self.simulated if one.variant == compiled.variant), None)


class PublishedRelease(BaseModel):
    """A release in the registry.

    Attributes:
        digest: Its name.
        version: Its tag.
        changed: Whether anything was written, or it was there already.
        folder: Where the release lies as plain files; None where no channel was moved to it.
        repository: The registry's folder.
        pushed: Where it is on a server, None when it was pushed nowhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    version: str
    changed: bool
    folder: str | None
    repository: str
    pushed: str | None = None


def assemble(
    results: Results,
    files: Mapping[str, Blob],
    settings: Settings,
    spec: PreprocessSpec,
    compiler: Compiler,
    workspace: Workspace,
) -> ReleaseRecord:
    """Make the release record: no time and no path in it, so that equal builds give equal releases.

    Args:
        results: What the build found out.
        files: The release's files.
        settings: What it was told.
        spec: How an image becomes the input tensor.
        compiler: The toolchain.
        workspace: Where bytes are kept.

    Returns:
        The record. Its version is the settings', or made from the toolchain's version and all that the release holds:
        a version names one release for ever.
    """
    class_names = _class_names(results, settings, workspace)
    record = ReleaseRecord(
        name=settings.release.name,
        version=settings.release.version or "unnamed",
        class_names=class_names,
        stride=settings.network.stride,
        network=f"{settings.network.name} x{settings.network.width:g}",
        preprocess=spec,
        protocol=_protocol(results, settings),
        variants=tuple(_variant_record(results, index, settings) for index in range(len(results.compiled))),
        calibration=_calibration(results),
        provenance=Provenance(
            weights_digest=results.checkpoint.blob.digest,
            toolchain=Toolchain(name=compiler.name, version=compiler.version, fingerprint=compiler.fingerprint),
            commands=tuple(one.evidence.argv for one in results.compiled),
        ),
        demonstration=settings.demonstration,
    )
    if settings.release.version is not None:
        return record
    digests = {title: blob.digest for title, blob in files.items()}
    content = digest_bytes(canonical_json([digest_bytes(record.to_json()), digests]))
    return record.model_copy(update={"version": f"{compiler.version}-{hex_of(content)[:12]}"})


def release_files(results: Results, report: Blob) -> Mapping[str, Blob]:
    """Name the files of a release, by the title under which a device finds them."""
    files = {one.variant.path: one.bmodel for one in results.compiled}
    if results.calibration is not None:
        files[MANIFEST_TITLE] = results.calibration.manifest
        files[CONTACT_SHEET_TITLE] = results.calibration.contact_sheet
    files[REPORT_TITLE] = report
    return {**files, **results.golden}


@task(task_run_name="publish {record.version}", cache_policy=NO_CACHE)
def publish(
    record: ReleaseRecord, files: Mapping[str, Blob], settings: Settings, workspace: Workspace, channel: str | None
) -> PublishedRelease:
    """Put the release into the registry's layout and lay it out as plain files. Safe to run again.

    Args:
        record: The release.
        files: Title to bytes.
        settings: Where it goes.
        workspace: Where bytes are kept.
        channel: What is moved to it; without one, the folder stays as it is too.

    Returns:
        Where it is, and whether that is new.

    Raises:
        TagExists: The version is taken by another release.
        LayoutError: The registry is damaged, or the folder holds something that is no release.
        SignatureError: The signing key cannot be used, or the channel was signed by another one.
        StoreError: The disk is full, or a folder cannot be written.
    """
    repository = Path(settings.release.repository)
    folder = None if channel is None else Path(settings.release.folder)
    paths = {title: workspace.content.verified(blob) for title, blob in files.items()}
    key = settings.release.signing_key
    signer = None if key is None else load_signer(Path(key), os.environ)
    done = layout.publish(repository, record, paths, tags=tuple(filter(None, (record.version, channel))))
    news = False
    if signer is not None:
        place = LayoutPlace(repository)
        news = sign_release(place, subject_at(place.registry, done.digest), [signer])
        if channel is not None:
            moved = promote([place], done.digest, channel, signers=[signer], now=datetime.now(UTC))
            news = news or moved.changed
    if folder is not None:
        layout.export(repository, done.digest, folder, replace=True)
    return PublishedRelease(
        digest=done.digest,
        version=record.version,
        changed=done.changed or news,
        folder=None if folder is None else str(folder),
        repository=str(repository),
    )


def _class_names(results: Results, settings: Settings, workspace: Workspace) -> tuple[str, ...]:
    annotations = results.evaluation.annotations
    names: Sequence[str] = ()
    if annotations is not None:
        names = parse_dataset(workspace.content.verified(annotations).read_bytes()).class_names
    missing = settings.network.num_classes - len(names)
    return (*names, *(f"unused-{len(names) + number + 1:02d}" for number in range(missing)))


def _protocol(results: Results, settings: Settings) -> Protocol | None:
    if results.reference.ap is None or results.evaluation.annotations is None:
        return None
    protocol = settings.evaluation.protocol.limits
    images = [(image.name, image.blob.digest) for image in results.evaluation.images]
    return Protocol(
        name=protocol.name,
        dataset_digest=dataset_digest(results.evaluation.annotations.digest, images),
        images=results.reference.images,
        score_floor=protocol.score_floor,
        top_k=protocol.top_k,
        metric=METRIC,
    )


def _calibration(results: Results) -> Calibration | None:
    if results.calibration is None or results.table is None:
        return None
    return Calibration(
        manifest=results.calibration.manifest,
        count=results.table.images,
        method=results.table.method,
        table_digest=results.table.table.digest,
    )


def _variant_record(results: Results, index: int, settings: Settings) -> VariantRecord:
    compiled, verdict = results.compiled[index], results.verdicts[index]
    measured, simulated = results.rung(compiled), results.simulation(compiled)
    allowed = tolerance(compiled.variant.precision, settings.simulator, settings.quantize)
    return VariantRecord(
        variant=compiled.variant,
        blob=compiled.bmodel,
        content_digest=compiled.content_digest,
        inputs=compiled.inputs,
        outputs=compiled.outputs,
        device_memory=compiled.device_memory,
        estimated_ms=compiled.estimated_ms,
        accuracy=None if measured.ap is None else Accuracy(ap=measured.ap, ap50=measured.ap50 or 0.0),
        distances=tuple(
            HeadDistance(head=head, cosine=far.cosine, max_abs=far.max_abs) for head, far in measured.distances.items()
        ),
        simulator=None
        if simulated is None
        else SimulatorEvidence(
            images=simulated.images,
            identical=simulated.identical,
            max_abs=simulated.max_abs,
            tolerance=allowed,
        ),
        gate=GateOutcome(passed=verdict.passed, reasons=verdict.reasons),
        matching_scores=results.matching_scores(measured),
    )
