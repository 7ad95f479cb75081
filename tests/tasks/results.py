"""What a build finds out, made up: records for the tests of gate, report and release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artifacts.bmodel import TensorInfo
from artifacts.digest import digest_bytes
from artifacts.measurements import Loss
from artifacts.release import PreprocessSpec, Variant
from artifacts.store import Blob
from settings.load import load_settings
from settings.model import Settings
from tasks.calibration_checks import Check
from tasks.coco import parse_dataset
from tasks.gather import dataset_json
from tasks.judgement import MeasuredLoss, Verdict
from tasks.publish import Results
from tasks.records import (
    CalibrationSet,
    CalibrationTable,
    Checkpoint,
    Compiled,
    Evidence,
    HeadDistance,
    ImageSet,
    Measured,
    Quantized,
    Simulated,
    StoredImage,
)
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace

FP32 = Variant(chip="BM1688", precision="fp32", batch=1)
FP16 = Variant(chip="BM1688", precision="fp16", batch=1)
INT8 = Variant(chip="BM1688", precision="int8", batch=1)
INT8_4B = Variant(chip="BM1688", precision="int8", batch=4, cores=2)

SPEC = PreprocessSpec(width=256, height=256)
COMPILER = Toolchain(
    name="tpu-mlir", version="1.30.2", fingerprint=digest_bytes(b"toolchain"), root="/one", python="/one/bin/python"
)

ANNOTATIONS = b"""{"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],
 "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 1, 3, 3]}],
 "categories": [{"id": 7, "name": "circle"}, {"id": 9, "name": "square"}]}"""


def workspace_in(folder: Path) -> Workspace:
    return Workspace(store=str(folder / "store"), cache=str(folder / "cache"))


def settings_in(folder: Path, *overrides: str) -> Settings:
    """The sample's settings with everything below a folder."""
    places = [f"store.path={folder}/store", f"release.repository={folder}/registry", f"release.folder={folder}/release"]
    return load_settings("sample", overrides=[*places, *overrides], environ={})


def evidence(workspace: Workspace, seconds: float = 1.5) -> Evidence:
    log = workspace.content.put_bytes(f"took {seconds} s".encode())
    return Evidence(argv=("model_deploy", "--chip", "bm1688"), log=log, seconds=seconds, tool="tpu-mlir 1.30.2")


def compiled(workspace: Workspace, variant: Variant, seconds: float = 1.5, *, mixed: bool = True) -> Compiled:
    blob = workspace.content.put_bytes(f"bmodel of {variant.path}".encode())
    batch = variant.batch
    return Compiled(
        variant=variant,
        bmodel=blob,
        content_digest=blob.digest,
        inputs=(tensor("input", (batch, 3, 256, 256)),),
        outputs=(tensor("heads", (batch, 84, 64, 64)),),
        device_memory=4_000_000,
        estimated_ms=0.864,
        quantized=quantized(mixed) if variant.precision == "int8" else None,
        evidence=evidence(workspace, seconds),
    )


def quantized(mixed: bool) -> Quantized:
    return Quantized(method="kl", table=digest_bytes(b"table"), float_layers=("16", "62") if mixed else ())


def tensor(name: str, shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo(name=name, shape=shape, dtype="float32", scale=1.0, zero_point=0)


def heads(**cosines: float) -> dict[str, HeadDistance]:
    """Distances, all but the named ones very near."""
    near = {"heatmap": 0.9999999, "size": 0.9999999, "offset": 0.9999999}
    return {
        head: HeadDistance(cosine=cosine, snr_db=40.0, max_abs=0.01) for head, cosine in {**near, **cosines}.items()
    }


def measured(workspace: Workspace | None, variant: Variant | None, ap: float | None = 0.6, **fields: Any) -> Measured:
    nothing = Blob(digest=digest_bytes(b""), size=0)
    values = {
        "rung": "TorchScript" if variant is None else f"{variant.chip} {variant.precision}",
        "variant": variant and Variant(chip=variant.chip, precision=variant.precision, batch=1),
        "images": 1,
        "ap": ap,
        "ap50": ap,
        "ap75": ap,
        "by_size": {"small": ap, "medium": None, "large": None} if ap is not None else {},
        "by_class": {"circle": ap, "square": None} if ap is not None else {},
        "distances": heads() if variant else {},
        "distance_images": 1 if variant else 0,
        "detections": workspace.content.put_bytes(b"{}") if workspace else nothing,
        "samples": workspace.content.put_bytes(b"") if workspace else nothing,
    }
    return Measured.model_validate({**values, **fields})


def simulated(variant: Variant, max_abs: float = 0.0) -> Simulated:
    return Simulated(variant=variant, images=1, max_abs=max_abs, identical=max_abs == 0.0, distances=heads(size=0.999))


def results(workspace: Workspace, *, seconds: float = 1.5, failing: tuple[str, ...] = ()) -> Results:
    """Two variants that passed; the second did not where reasons are given."""
    content, variants = workspace.content, (FP32, INT8)
    image = StoredImage(name="a.jpg", blob=content.put_bytes(b"an image"))
    annotations = content.put_bytes(dataset_json(parse_dataset(ANNOTATIONS)))
    return Results(
        checkpoint=Checkpoint(blob=content.put_bytes(b"weights")),
        calibration=CalibrationSet(
            images=(image,), manifest=content.put_bytes(b"{}"), contact_sheet=content.put_bytes(b"a picture")
        ),
        table=CalibrationTable(
            table=content.put_bytes(b"table"),
            images=1,
            method="kl",
            samples_digest=digest_bytes(b"samples"),
            evidence=evidence(workspace, 2 * seconds),
        ),
        evaluation=ImageSet(images=(image,), annotations=annotations),
        compiled=tuple(compiled(workspace, variant, seconds) for variant in variants),
        network=measured(workspace, None, 0.61, rung="PyTorch", distances=heads(), distance_images=1),
        reference=measured(workspace, None, 0.6),
        measured=(
            measured(workspace, FP32, 0.6),
            measured(workspace, INT8, 0.59, distances=heads(offset=0.98765), worst=("a.jpg",)),
        ),
        losses=tuple(
            MeasuredLoss(variant=variant, bounds=Loss(drop=drop, low=drop, high=2 * drop, images=1))
            for variant, drop in ((FP32, 0.0), (INT8, 0.01))
        ),
        simulated=(simulated(FP32), simulated(INT8, 0.0078)),
        verdicts=(
            Verdict(variant=FP32, passed=True),
            Verdict(variant=INT8, passed=not failing, reasons=failing),
        ),
        checks=(
            Check(name="no image twice", outcome="passed", detail="1 digest"),
            Check(name="every class is shown", outcome="warning", detail="1 of 2 classes: <b>square|"),
        ),
    )
