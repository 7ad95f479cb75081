"""What devices measured of a release, as rows of its ladder, and what of that may be compared with it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artifacts.errors import BadVariant
from artifacts.evidence import Evidence
from artifacts.release import Protocol, ReleaseRecord, Variant
from inference.feeding import HOST
from settings.devices import SIMULATOR
from tasks.ladder.rows import Row, counted, short


class _Setting(BaseModel):
    """What a report says of how it was made, beyond what evidence has of its own."""

    model_config = ConfigDict(extra="ignore")

    preprocess: str = HOST


class _Figures(BaseModel):
    """What a device's report says beyond AP and AP50; reports of older packages do not."""

    model_config = ConfigDict(extra="ignore")

    ap75: float | None = None
    by_size: dict[str, float | None] = Field(default_factory=dict)
    by_class: dict[str, float | None] = Field(default_factory=dict)
    setting: _Setting = Field(default_factory=_Setting)


def of_evidence(one: Evidence, record: ReleaseRecord) -> Row | None:
    """Make the row of what a device measured.

    Args:
        one: Evidence that is attached to the release.
        record: The release's record.

    Returns:
        The row; None where what was run is no model of any release.
    """
    try:
        variant = Variant.from_path(one.variant)
    except BadVariant:
        return None
    refusal = incomparable(one, record)
    figures = _figures(one.report)
    way = figures.setting.preprocess
    hardware = variant.io == "raw" or way != HOST
    images = f"{counted(one.protocol.images)}, {one.place}, {one.created}"
    return Row(
        rung=f"{variant.chip} {variant.precision} {_place(one)} ({short(variant)}), "
        f"{'hardware' if hardware else 'host'} preprocessing{'' if way == HOST else f' ({way})'}",
        kind="device" if one.on_device else "simulator",
        chip=variant.chip,
        precision=variant.precision,
        device=one.device,
        preprocessing="hardware" if hardware else "host",
        compared=refusal is None,
        images=one.protocol.images,
        ap=one.accuracy and one.accuracy.ap,
        ap50=one.accuracy and one.accuracy.ap50,
        ap75=figures.ap75,
        by_size=figures.by_size,
        by_class=figures.by_class,
        remark=f"the release's own data set and protocol, {images}"
        if refusal is None
        else f"not compared: {refusal}; {images}",
    )


def incomparable(one: Evidence, record: ReleaseRecord) -> str | None:
    """Say why evidence must not be compared with the release's numbers; None where it may.

    Args:
        one: The evidence.
        record: The release's record.
    """
    digests = {item.variant.path: item.blob.digest for item in record.variants}
    if one.variant not in digests:
        return "the release has no such model"
    if digests[one.variant] != one.model_digest:
        return f"it ran other bytes ({one.model_digest}) than the release's model"
    if one.accuracy is None:
        return "it has no accuracy"
    return "the release has no accuracy" if record.protocol is None else _other(record.protocol, one.protocol)


def _place(one: Evidence) -> str:
    if one.on_device:
        return f"on device {one.device}"
    return "validated in the simulator" + ("" if one.device == SIMULATOR else f" of {one.device}")


def _other(own: Protocol, theirs: Protocol) -> str | None:
    if _rules(own) != _rules(theirs):
        return f"measured by {_rules(theirs)}, the release by {_rules(own)}"
    if own.dataset_digest != theirs.dataset_digest:
        return f"another data set ({theirs.dataset_digest}, the release's is {own.dataset_digest})"
    return None


def _rules(protocol: Protocol) -> str:
    return f"{protocol.name} (score >= {protocol.score_floor:g}, best {protocol.top_k}), {protocol.metric}"


def _figures(report: dict[str, Any]) -> _Figures:
    try:
        return _Figures.model_validate(report)
    except ValidationError:  # from a package that means something else by these names
        return _Figures()
