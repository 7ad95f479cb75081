"""What a release says of itself, and which files it holds. Pure but for the reading of stored annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from artifacts.digest import canonical_json, digest_bytes, hex_of
from artifacts.release import (
    Accuracy,
    Calibration,
    GateOutcome,
    HeadDistance,
    PreprocessSpec,
    Protocol,
    Provenance,
    Quantization,
    ReleaseRecord,
    SimulatorEvidence,
    Toolchain,
    VariantRecord,
)
from artifacts.store import Blob
from inference.annotations import dataset_digest
from settings.model import Settings
from tasks.coco import parse_dataset
from tasks.gate import tolerance
from tasks.publish import CONTACT_SHEET_TITLE, MANIFEST_TITLE, METRIC, REPORT_TITLE, Results
from tasks.records import Compiled, is_mixed
from tasks.toolchain.model import Toolchain as Compiler
from tasks.workspace import Workspace


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
        network=network_text(settings),
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


def network_text(settings: Settings) -> str:
    """Return how a record names the network that the settings ask for."""
    return f"{settings.network.name} x{settings.network.width:g}"


def release_files(results: Results, report: Blob) -> Mapping[str, Blob]:
    """Name the files of a release, by the title under which a device finds them."""
    files = {one.variant.path: one.bmodel for one in results.compiled}
    if results.calibration is not None:
        files[MANIFEST_TITLE] = results.calibration.manifest
        files[CONTACT_SHEET_TITLE] = results.calibration.contact_sheet
    files[REPORT_TITLE] = report
    return {**files, **results.golden}


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
    allowed = tolerance(compiled.variant.precision, is_mixed(compiled.quantized), settings.simulator)
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
        quantization=_quantization(compiled),
        matching_scores=results.matching_scores(measured),
    )


def _quantization(compiled: Compiled) -> Quantization | None:
    made = compiled.quantized
    if made is None:
        return None
    return Quantization(method=made.method, table_digest=made.table, float_layers=made.float_layers)
