"""What is checked of a calibration: before the compiler gets its images, and of what it was given afterwards.

Every check is made of the finished records, apart from the code that made them, so that a mistake there is noticed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from artifacts.release import PreprocessSpec
from artifacts.store import ContentStore
from inference.images import read_image
from inference.preprocess import preprocess_batch
from tasks.coco import parse_dataset
from tasks.curate import classes_by_name, coco_id
from tasks.errors import CalibrationRefused
from tasks.quantize import samples_digest
from tasks.records import CalibrationSet, CalibrationTable, ImageSet, Record, StoredImage
from tasks.step import step
from tasks.workspace import Workspace

Outcome = Literal["passed", "warning", "not known", "failed"]
Classes = frozenset[str]

log = logging.getLogger(__name__)

_SHOWN = 10


class Check(Record):
    """One thing that was checked: what has to hold, whether it does, and the facts."""

    name: str
    outcome: Outcome
    detail: str


class CalibrationChecks(Record):
    """Checks, in the order in which they were made."""

    checks: tuple[Check, ...]


@step(version=1, slot="check calibration set")
def check_set(
    calibration: CalibrationSet,
    candidates: ImageSet,
    evaluation: ImageSet,
    asked: int,
    missing_classes: Literal["warn", "fail"],
    workspace: Workspace,
) -> CalibrationChecks:
    """Check the curated set before the compiler gets it.

    Args:
        calibration: The curated set.
        candidates: What it was chosen from, with boxes where there are any.
        evaluation: Images that accuracy is measured on.
        asked: How many images were asked for.
        missing_classes: What a class of the evaluation set that no calibration image shows is worth.
        workspace: Where bytes are kept.

    Returns:
        The checks.

    Raises:
        CalibrationRefused: One of them failed; the message names all that did.
    """
    names = {image.name for image in calibration.images}
    known = _classes(candidates, workspace.content)
    shown = None if known is None else frozenset().union(*(known.get(name, Classes()) for name in names))
    wanted = _classes(evaluation, workspace.content)
    return _accepted(
        counted(len(calibration.images), asked),
        distinct(calibration.images),
        apart(calibration.images, evaluation.images),
        covered(None if wanted is None else frozenset().union(*wanted.values()), shown, missing_classes),
    )


@step(version=1, slot="check calibration")
def check_handed(
    calibration: CalibrationSet, table: CalibrationTable, spec: PreprocessSpec, workspace: Workspace
) -> CalibrationChecks:
    """Check what the compiler was given, and how much of it it used.

    Args:
        calibration: The curated set.
        table: What the compiler made of it.
        spec: How an image becomes the input tensor.
        workspace: Where bytes are kept.

    Returns:
        The checks.

    Raises:
        CalibrationRefused: One of them failed; the message names all that did.
    """
    fed = samples_digest(runtime_tensors(calibration.images, spec, workspace.content))
    return _accepted(used(table.images, len(calibration.images)), same_tensors(table.samples_digest, fed))


def runtime_tensors(
    images: Iterable[StoredImage], spec: PreprocessSpec, content: ContentStore
) -> Iterator[NDArray[np.float32]]:
    """Yield what the runtime feeds for each image, by the function that `inference.Detector` calls.

    Args:
        images: The images.
        spec: How an image becomes the input tensor.
        content: Where bytes are kept.

    Yields:
        float32 [1, 3, H, W].
    """
    for image in images:
        yield preprocess_batch([read_image(content.verified(image.blob))], spec)


def counted(chosen: int, asked: int) -> Check:
    """Check that as many images were chosen as were asked for."""
    outcome: Outcome = "passed" if chosen == asked else "failed"
    return Check(name="as many images as asked for", outcome=outcome, detail=f"{asked} asked for, {chosen} chosen")


def distinct(images: Iterable[StoredImage]) -> Check:
    """Check that no file is there twice, under whatever names."""
    names: dict[str, list[str]] = {}
    for image in images:
        names.setdefault(image.blob.digest, []).append(image.name)
    twice = [" = ".join(same) for same in names.values() if len(same) > 1]
    detail = f"the same file: {_listed(twice)}" if twice else f"{len(names)} digests, each once"
    return Check(name="no image twice", outcome="failed" if twice else "passed", detail=detail)


def apart(images: Sequence[StoredImage], evaluation: Sequence[StoredImage]) -> Check:
    """Check that accuracy is measured on none of the images: by digest, and by id where names are COCO's."""
    held = {image.blob.digest for image in evaluation}
    held_ids = {coco_id(image.name) for image in evaluation} - {None}
    both = [image.name for image in images if image.blob.digest in held or coco_id(image.name) in held_ids]
    detail = f"accuracy is measured on {_listed(both)}" if both else f"none of the {len(evaluation)} evaluation images"
    return Check(name="none of the evaluation set", outcome="failed" if both else "passed", detail=detail)


def covered(wanted: Classes | None, shown: Classes | None, missing_classes: Literal["warn", "fail"]) -> Check:
    """Check that every class that accuracy is measured on is on a calibration image.

    By default a missing one is a warning: the ranges are those of activations, which no label enters; the gate measures
    what they cost, class by class; and a few hundred candidates seldom show the rarest of COCO's classes.

    Args:
        wanted: Classes that are annotated in the evaluation set; None where it has no annotations.
        shown: Classes that are annotated on calibration images; None where the candidates have no annotations.
        missing_classes: What a missing class is worth.
    """
    outcome: Outcome = "passed"
    if wanted is None or shown is None:
        outcome = "failed" if missing_classes == "fail" else "not known"
        detail = f"{'the evaluation set has' if wanted is None else 'the candidates have'} no annotations"
    elif lacking := sorted(wanted - shown):
        outcome = "failed" if missing_classes == "fail" else "warning"
        detail = f"{len(lacking)} of {len(wanted)} classes are on no annotated calibration image: {_listed(lacking)}"
    else:
        detail = f"all {len(wanted)} classes"
    return Check(name="every class of the evaluation set is shown", outcome=outcome, detail=detail)


def used(by_compiler: int, given: int) -> Check:
    """Check that the compiler says it used as many samples as there are images."""
    outcome: Outcome = "passed" if by_compiler == given else "failed"
    return Check(
        name="the compiler used every image",
        outcome=outcome,
        detail=f"images: {given}; samples by the compiler's own count: {by_compiler}",
    )


def same_tensors(given: str, fed: str) -> Check:
    """Check that the compiler was given the bytes that the runtime feeds for the same images.

    Args:
        given: Digest of what the compiler was given.
        fed: Digest of what the runtime feeds.
    """
    same = given == fed
    detail = f"equal byte by byte, {given}" if same else f"the compiler was given {given}, the runtime feeds {fed}"
    return Check(
        name="the tensors are those that the runtime feeds", outcome="passed" if same else "failed", detail=detail
    )


def _accepted(*checks: Check) -> CalibrationChecks:
    for check in checks:
        if check.outcome in ("warning", "not known"):
            log.warning("calibration: %s: %s: %s", check.name, check.outcome, check.detail)
    failed = [f"{check.name}: {check.detail}" for check in checks if check.outcome == "failed"]
    if failed:
        raise CalibrationRefused(
            f"The calibration is refused, because this does not hold: {'; '.join(failed)}. The candidates "
            "(`calibration.source`) have to be other images, or more; where they are not at fault, this program is."
        )
    return CalibrationChecks(checks=checks)


def _classes(images: ImageSet, content: ContentStore) -> dict[str, Classes] | None:
    if images.annotations is None:
        return None
    return classes_by_name([parse_dataset(content.verified(images.annotations).read_bytes(), "the annotations")])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
