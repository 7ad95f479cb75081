"""Releases for tests: small files, and the record that fits them."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Sequence, Tuple

from artifacts.digest import digest_bytes
from artifacts.release import (
    Accuracy,
    Blob,
    Calibration,
    GateOutcome,
    HeadDistance,
    PreprocessSpec,
    Protocol,
    Provenance,
    ReleaseRecord,
    SimulatorEvidence,
    TensorInfo,
    Toolchain,
    Variant,
    VariantRecord,
)

SHARED = {"calibration.json": b'{"images":[]}', "report/index.html": b"<h1>Report</h1>", "sheet.png": b"\x89PNG"}
VARIANTS = (
    Variant(chip="BM1688", precision="int8", batch=4, cores=2),
    Variant(chip="BM1684X", precision="int8", batch=1),
    Variant(chip="BM1684X", precision="fp16", batch=1),
    Variant(chip="BM1684", precision="fp32", batch=1),
)


def blob_of(data: bytes) -> Blob:
    """Return the name of some bytes."""
    return Blob(digest=digest_bytes(data), size=len(data))


def model_bytes(variant: Variant, version: str) -> bytes:
    """Return bytes that stand for a bmodel."""
    return f"{variant.path} of {version} ".encode() * 50


def variant_record(variant: Variant, version: str) -> VariantRecord:
    """Return the record of one variant."""
    data = model_bytes(variant, version)
    return VariantRecord(
        variant=variant,
        blob=blob_of(data),
        content_digest=digest_bytes(data + b"content"),
        inputs=(TensorInfo(name="x", dtype="float32", shape=(variant.batch, 3, 512, 512)),),
        outputs=(TensorInfo(name="y", dtype="float32", shape=(variant.batch, 84, 128, 128)),),
        device_memory=28_660_000,
        estimated_ms=3.3006,
        accuracy=Accuracy(ap=0.36, ap50=0.55),
        distances=(HeadDistance(head="hm", cosine=0.9995, max_abs=0.02), HeadDistance(head="wh", max_abs=0.1)),
        simulator=SimulatorEvidence(images=2, identical=True),
        gate=GateOutcome(passed=True),
    )


def record(version: str = "1.0.0", variants: Sequence[Variant] = VARIANTS) -> ReleaseRecord:
    """Return a whole record."""
    return ReleaseRecord(
        name="centernet",
        version=version,
        class_names=("person", "bicycle"),
        network="dlav0_34",
        preprocess=PreprocessSpec(),
        protocol=Protocol(
            name="coco", dataset_digest=digest_bytes(b"val"), images=64, score_floor=0.0, top_k=100, metric="bbox AP"
        ),
        variants=tuple(variant_record(variant, version) for variant in variants),
        calibration=Calibration(
            manifest=blob_of(SHARED["calibration.json"]), count=200, method="kld", table_digest=digest_bytes(b"table")
        ),
        provenance=Provenance(
            weights_digest=digest_bytes(b"weights"),
            toolchain=Toolchain(name="tpu-mlir", version="1.30.2", fingerprint="f00d"),
            commands=(("model_transform", "--model_name", "centernet"),),
        ),
        demonstration=True,
    )


def release(
    folder: Path, version: str = "1.0.0", variants: Sequence[Variant] = VARIANTS
) -> Tuple[ReleaseRecord, Dict[str, Path]]:
    """Write a release's files and return its record and the files by title."""
    contents = {variant.path: model_bytes(variant, version) for variant in variants}
    files: Dict[str, Path] = {}
    for title, data in {**contents, **SHARED}.items():
        files[title] = folder / version / title.replace("/", "_")
        files[title].parent.mkdir(parents=True, exist_ok=True)
        files[title].write_bytes(data)
    return record(version, variants), files
