"""A ladder's parts, made up: measurements of one chip, a release, and evidence about it."""

from __future__ import annotations

from typing import Any

from artifacts.evidence import Evidence
from artifacts.measurements import Distance, Figures, Loss, Measurements, Rung, Simulation
from artifacts.release import Accuracy, Protocol, ReleaseRecord, Variant
from tests.artifacts import releases

INT8 = Variant(chip="BM1684X", precision="int8", batch=1)
RAW = Variant(chip="BM1684X", precision="int8", batch=1, io="raw")
FP16 = Variant(chip="BM1684X", precision="fp16", batch=1)
DIGEST = "sha256:" + "a" * 64


def rung(name: str, ap: float | None, **fields: Any) -> Rung:
    chip, _, precision = name.partition(" ")
    known = {"chip": chip, "precision": precision} if precision else {}
    figures = None
    if ap is not None:
        by_size = {"small": ap, "medium": None, "large": ap}
        figures = Figures(ap=ap, ap50=ap, ap75=ap, by_size=by_size, by_class={"dog": ap, "cat": 0.5, "elk": None})
    far = {head: Distance(cosine=0.99, snr_db=30.0, max_abs=1.0) for head in ("heatmap", "size", "offset")}
    distances = {} if name == "TorchScript" else far
    given = {"name": name, "images": 64, "figures": figures, "distances": distances, "distance_images": 32}
    return Rung.model_validate({**given, **known, **fields})


def measured(*, identical: bool = False) -> Measurements:
    """A chip that was not measured in fp32, and whose fp16 was not simulated."""
    return Measurements(
        rungs=(
            rung("PyTorch", 0.62),
            rung("TorchScript", 0.61),
            rung("BM1684X fp16", 0.60),
            rung("BM1684X int8", 0.55, loss=Loss(drop=0.06, low=0.04, high=0.08, images=64)),
        ),
        simulated=(
            Simulation(
                variant=INT8,
                images=2,
                identical=identical,
                max_abs=0.0 if identical else 0.0078,
                distances={"size": Distance(cosine=1.0, snr_db=90.0, max_abs=0.0078)},
            ),
        ),
    )


def record(*variants: Variant) -> ReleaseRecord:
    return releases.record("1.0.0", variants or (INT8, RAW, FP16))


def evidence(about: Variant = INT8, ap: float | None = 0.54, **fields: Any) -> Evidence:
    """What a device measured on the release's own images by its own protocol, but for what is named."""
    own = record().protocol
    assert own is not None
    digest = next((one.blob.digest for one in record().variants if one.variant == about), DIGEST)
    values: dict[str, Any] = {
        "release": DIGEST,
        "device": "board",
        "created": "2026-01-02T03:04:05Z",
        "engine": "sail",
        "chip": about.chip,
        "variant": about.path,
        "model_digest": digest,
        "versions": {"libsophon": "0.5.1", "sail": "3.8.0"},
        "protocol": own,
        "accuracy": None if ap is None else Accuracy(ap=ap, ap50=ap),
        "comparable": True,
        "comparison": "as good",
    }
    return Evidence.model_validate({**values, **fields})


def protocol(**changes: Any) -> Protocol:
    own = record().protocol
    assert own is not None
    return own.model_copy(update=changes)
