"""The tables of times in the notes of a release: on the chip, and by stage. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artifacts.evidence import Evidence
from artifacts.release import ReleaseRecord
from tasks.ladder.rows import counted
from tasks.markdown import escaped
from tasks.notes.published import CHIP_MS, TIMES, PublishedTimes, chip_of
from tasks.released import Released

CHIP_HEADING = ("model", "ours: compiler's estimate, ms an image", "the vendor's own model: measured, ms an image")
STAGE_HEADING = (
    "platform",
    "program",
    "model",
    "decode_time",
    "preprocess_time",
    "inference_time",
    "postprocess_time",
    "how it was obtained",
)

# The vendor's stages, by the names that `inference.measuring` has for them.
_STAGES = ("read", "preprocess", "infer", "decode")
_LONGEST_MS = 3_600_000
_NOBODY = "not measured: `python -m flows.validate REF --device NAME` does it"


def chip_rows(record: ReleaseRecord) -> list[tuple[str, ...]]:
    """Return a row for each model of the release.

    Args:
        record: The release.
    """
    rows: list[tuple[str, ...]] = []
    for one in record.variants:
        estimate = "-" if one.estimated_ms is None else f"{one.estimated_ms / one.variant.batch:.3f}"
        rows.append((one.variant.path, estimate, CHIP_MS.get(one.variant.path.removesuffix(".bmodel"), "-")))
    return rows


def stage_rows(chip: str, released: Released) -> list[tuple[str, ...]]:
    """Return what devices measured of the release's own models for one chip, then the vendor's rows.

    Args:
        chip: The chip.
        released: The release with its evidence.
    """
    digests = {one.variant.path: one.blob.digest for one in released.record.variants}
    own = [one for one in released.evidence if one.on_device and digests.get(one.variant) == one.model_digest]
    rows = [row for one in own if one.chip == chip and (row := _of_evidence(one)) is not None]
    return [
        *(rows or [(f"{chip}: no device", "inference validate", "-", "-", "-", "-", "-", _NOBODY)]),
        *(_of_vendor(one) for one in TIMES if chip_of(one.platform) == chip),
    ]


def _of_evidence(one: Evidence) -> tuple[str, ...] | None:
    stages = one.report.get("stages")
    figures = [_median(stages, name) for name in _STAGES]
    if figures == ["-"] * len(_STAGES):
        return None
    how = f"median, {counted(one.protocol.images)}, {one.place}, {one.created}"
    platform = f"device {one.device} ({one.chip})"
    return (escaped(platform), "inference validate", escaped(one.variant), *figures, escaped(how))


def _median(stages: Any, name: str) -> str:
    # A report is what a device sent: of another version, it may hold anything.
    stage = stages.get(name) if isinstance(stages, Mapping) else None
    value = stage.get("median_ms") if isinstance(stage, Mapping) else None
    is_time = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _LONGEST_MS
    return f"{value:.2f}" if is_time else "-"


def _of_vendor(one: PublishedTimes) -> tuple[str, ...]:
    times = (one.decode, one.preprocess, one.inference, one.postprocess)
    return (one.platform, one.program, f"{one.stem} (the vendor's)", *times, "mean, measured by the vendor")
