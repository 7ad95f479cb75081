"""Two releases to compare, made up: one variant of each kind, and everything that was measured of them."""

from __future__ import annotations

from typing import Any

from artifacts.digest import digest_bytes
from artifacts.measurements import Distance, Figures, Measurements, Rung
from artifacts.release import (
    Accuracy,
    Calibration,
    HeadDistance,
    PreprocessSpec,
    Protocol,
    Provenance,
    ReleaseRecord,
    Toolchain,
    Variant,
    VariantRecord,
)
from artifacts.store import Blob
from tasks.verdict.figures import Side

FP32 = Variant(chip="BM1688", precision="fp32", batch=1)
INT8 = Variant(chip="BM1688", precision="int8", batch=1)
HEADS = ("heatmap", "size", "offset")


def variant(which: Variant, **changed: Any) -> VariantRecord:
    values: dict[str, Any] = {
        "variant": which,
        "blob": Blob(digest=digest_bytes(which.path.encode()), size=6_000_000),
        "content_digest": digest_bytes(b"content"),
        "inputs": (),
        "outputs": (),
        "device_memory": 4_000_000,
        "estimated_ms": 0.864,
        "accuracy": Accuracy(ap=0.6, ap50=0.8),
        "distances": tuple(HeadDistance(head=head, cosine=0.999, max_abs=0.1) for head in HEADS),
    }
    return VariantRecord.model_validate({**values, **changed})


def record(compiler: str = "1.30.2", *variants: VariantRecord, **changed: Any) -> ReleaseRecord:
    values: dict[str, Any] = {
        "name": "centernet",
        "version": f"{compiler}-abc",
        "class_names": ("circle", "square"),
        "network": "dlav0_34 x0.25",
        "preprocess": PreprocessSpec(width=256, height=256),
        "protocol": Protocol(
            name="centernet",
            dataset_digest=digest_bytes(b"scenes"),
            images=64,
            score_floor=0.001,
            top_k=100,
            metric="AP",
        ),
        "variants": variants or (variant(FP32), variant(INT8)),
        "calibration": Calibration(
            manifest=Blob(digest=digest_bytes(b"manifest"), size=8),
            count=200,
            method="kl",
            table_digest=digest_bytes(b"table"),
        ),
        "provenance": Provenance(
            weights_digest=digest_bytes(b"weights"),
            toolchain=Toolchain(name="tpu-mlir", version=compiler, fingerprint=compiler),
        ),
    }
    return ReleaseRecord.model_validate({**values, **changed})


def rung(which: Variant | None = INT8, *, snr_db: float = 30.0, **changed: Any) -> Rung:
    values: dict[str, Any] = {
        "name": "PyTorch" if which is None else f"{which.chip} {which.precision}",
        "chip": which and which.chip,
        "precision": which and which.precision,
        "images": 64,
        "figures": figures(),
        "distances": {head: Distance(cosine=0.999, snr_db=snr_db, max_abs=0.1) for head in HEADS},
    }
    return Rung.model_validate({**values, **changed})


def figures(ap: float = 0.6, small: float | None = 0.4, circle: float | None = 0.7) -> Figures:
    by_size = {"small": small, "medium": 0.6, "large": None}
    return Figures(ap=ap, ap50=0.8, ap75=0.6, by_size=by_size, by_class={"circle": circle, "square": 0.5})


def side(compiler: str = "1.30.2", *rungs: Rung, variants: tuple[VariantRecord, ...] = (), **changed: Any) -> Side:
    """A release with its measurements: the rungs, or PyTorch, fp32 and int8."""
    measured = Measurements(rungs=rungs or (rung(None), rung(FP32), rung(INT8)))
    return Side(record(compiler, *variants, **changed), measured)
