"""Which models of a release a device takes: exactly one, unless all that fit are asked for."""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

from artifacts.digest import digest_bytes, hex_of
from artifacts.oci import RECORD_TITLE
from artifacts.release import CHIPS, ReleaseRecord
from artifacts.store import Blob
from artifacts.variant import Variant
from inference.errors import NoSuchVariant
from inference.wish import Wish, differing_axes


def select(record: ReleaseRecord, chips: Sequence[str], wish: Wish) -> Tuple[Variant, ...]:
    """Choose among the models of a release.

    Args:
        record: The release.
        chips: The chips whose files can be had: one, where a single chip's manifest was named.
        wish: What is asked for.

    Returns:
        Exactly one variant; with ``wish.every`` at least one, sorted.

    Raises:
        NoSuchVariant: None fits, or several do where one is wanted; the message lists them.
    """
    there = [item.variant for item in record.variants if item.variant.chip in chips]
    fitting = wish.choice(there)
    release = f"release {record.name} {record.version}"
    available = tuple(variant.path for variant in there)
    if not fitting:
        raise NoSuchVariant(f"{release} has no model for {wish}; it has {_listed(there)}", (), available)
    if len(fitting) > 1 and not wish.every:
        asked = f" for {wish}" if str(wish) else ""
        axes = differing_axes(fitting)
        choices = [" ".join(f"--{axis} {getattr(variant, axis)}" for axis in axes) for variant in fitting]
        raise NoSuchVariant(
            f"{release} has {len(fitting)} models{asked}. Take them all by --all, or add the line of one:\n  "
            + "\n  ".join(choices),
            tuple(variant.path for variant in fitting),
            available,
        )
    return fitting


FOR_PEOPLE = ("report.html", "calibration.jpg", "sbom.cdx.json")
"""What only somebody at a desk looks at, and no device needs."""


def wanted_files(
    blobs: Dict[str, Blob], record: Blob, variants: Sequence[Variant], *, every: bool = False
) -> Dict[str, Blob]:
    """Name the files that go with some variants: their bmodels, the record, and whatever else a device may need.

    Args:
        blobs: All files of the chosen chips, by path in the release.
        record: The release record.
        variants: What was chosen.
        every: Whether all was asked for, what is for people too.

    Returns:
        What to fetch, by path in the release.
    """
    left_out = () if every else FOR_PEOPLE
    paths = {variant.path for variant in variants}
    chips = {variant.chip for variant in variants}
    others = set(CHIPS) - chips
    kept = {
        title: blob
        for title, blob in blobs.items()
        if title in paths or not (title in left_out or title.endswith(".bmodel") or title.split("/")[0] in others)
    }
    return {**kept, RECORD_TITLE: record}


def selection_name(variants: Sequence[Variant]) -> str:
    """Name a choice of variants, as a part of a folder's name: ``BM1684X_int8_4b``, or a number and a digest."""
    if len(variants) == 1:
        return f"{variants[0].chip}_{variants[0].stem[len('centernet_') :]}"
    paths = "\n".join(sorted(variant.path for variant in variants))
    return f"{len(variants)}_models_{hex_of(digest_bytes(paths.encode()))[:12]}"


def _listed(variants: List[Variant]) -> str:
    texts = []
    for variant in variants:
        cores = f" {variant.cores} cores" if variant.cores > 1 else ""
        raw = " raw" if variant.io == "raw" else ""
        texts.append(f"{variant.chip} {variant.precision} batch {variant.batch}{cores}{raw}")
    return ", ".join(texts) or "none"
