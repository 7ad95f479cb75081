"""Choosing the images that an INT8 model is calibrated on.

What cannot be used is left out with a reason; `tasks.selection` chooses among the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict

from artifacts.digest import canonical_json
from tasks.coco import Dataset
from tasks.errors import NotEnoughImages
from tasks.image_facts import Candidate, CopyIndex, ImageFacts, Rejection, measure_all
from tasks.images import MIN_SIDE
from tasks.selection import population_by_class, select

NEAR_DUPLICATE_DISTANCE = 6
"""Bits of 64. Of 51 000 pairs of unrelated COCO photographs the nearest differ in 14; recompressed copies in 0 to 2."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})

_COCO_NAME = re.compile(r"(?:COCO_(?:train|val|test)\d{4}_)?(\d{12})\.\w+")


class CuratedImage(BaseModel):
    """One chosen image: its name, the digest and size (bytes) of its file, and why it was chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    size: int
    reason: str


class CuratedSet(BaseModel):
    """The images that calibration uses, and how they came about.

    Attributes:
        images: In the order in which they are to be fed: a calibrator's histograms depend on it. The order is drawn
            with the seed, so that neither names nor statistics rise through it.
        seed: Seed of the choice.
        candidates: How many images there were to choose from.
        rejected: Reason to number of images left out for it.
        rejections: What was left out, by name, with details.
        class_counts: Class name to number of chosen images that show it; 0 for a class that the usable candidates show
            and the chosen ones do not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: tuple[CuratedImage, ...]
    seed: int
    candidates: int
    rejected: dict[str, int]
    rejections: tuple[Rejection, ...]
    class_counts: dict[str, int]

    def manifest(self) -> bytes:
        """Return the set as canonical JSON; equal sets give equal bytes."""
        return canonical_json(self.model_dump(mode="json"))


def candidates_in(folders: Iterable[Path]) -> list[Candidate]:
    """List the image files that lie directly in some folders, by their suffix, under their file names.

    Raises:
        OSError: A folder cannot be listed.
    """
    found = (path for folder in folders for path in sorted(folder.iterdir()))
    return [Candidate(path.name, path) for path in found if path.suffix.lower() in IMAGE_SUFFIXES]


def classes_by_name(datasets: Iterable[Dataset]) -> dict[str, frozenset[str]]:
    """Return the class names that the boxes of each image show, by the image's file name."""
    classes: dict[str, frozenset[str]] = {}
    for dataset in datasets:
        names = dict(dataset.categories)
        for image in dataset.images:
            shown = frozenset(names[box.category_id] for box in dataset.boxes[image.id])
            classes[image.file_name] = classes.get(image.file_name, frozenset()) | shown
    return classes


def curate(
    candidates: Iterable[Candidate],
    *,
    count: int = 200,
    seed: int = 0,
    evaluation: Iterable[Candidate] = (),
    exclude_digests: Collection[str] = (),
    boxes: Iterable[Dataset] = (),
    min_side: int = MIN_SIDE,
    near_duplicate_distance: int = NEAR_DUPLICATE_DISTANCE,
    progress: Callable[[], object] | None = None,
) -> CuratedSet:
    """Measure the candidates, leave out what calibration cannot use, and choose.

    Args:
        candidates: Images to choose from.
        count: How many to choose.
        seed: Seed of the choice.
        evaluation: Images that accuracy is measured on. Their digests, their near-copies and, where names are COCO's,
            their image ids are kept out.
        exclude_digests: Further digests to keep out.
        boxes: Data sets that say what some of the candidates show; their file names are the candidates' names.
        min_side: Shortest side in pixels of an image that is used.
        near_duplicate_distance: Bits in which the hashes of two images may differ to count as copies, 0..64.
        progress: Called once for each image that is measured.

    Returns:
        The curated set.

    Raises:
        NotEnoughImages: Fewer than `count` candidates can be used.
    """
    measured, rejections = measure_all(candidates, min_side=min_side, progress=progress)
    # An evaluation image may be small or gray; one that cannot be read at all has no near-copies either.
    held_out, _ = measure_all(evaluation, min_side=1, progress=progress)
    usable, refused = reject(
        measured, held_out, exclude_digests=exclude_digests, near_duplicate_distance=near_duplicate_distance
    )
    rejections = sorted([*rejections, *refused], key=lambda item: (item.name, item.reason, item.detail))
    return _choose(usable, rejections, classes_by_name(boxes), count, seed)


def _choose(
    usable: Sequence[ImageFacts],
    rejections: Sequence[Rejection],
    classes: Mapping[str, Collection[str]],
    count: int,
    seed: int,
) -> CuratedSet:
    rejected = dict(sorted(Counter(item.reason for item in rejections).items()))
    candidates = len(usable) + len(rejections)
    if len(usable) < count:
        raise NotEnoughImages(count, len(usable), candidates, rejected)
    chosen = select(usable, classes, count=count, seed=seed)
    shown = population_by_class([fact for fact, _ in chosen], classes)
    return CuratedSet(
        images=tuple(
            CuratedImage(name=fact.name, digest=fact.digest, size=fact.size, reason=reason) for fact, reason in chosen
        ),
        seed=seed,
        candidates=candidates,
        rejected=rejected,
        rejections=tuple(rejections),
        class_counts={name: shown.get(name, 0) for name in sorted(population_by_class(usable, classes))},
    )


def reject(
    facts: Iterable[ImageFacts],
    evaluation: Iterable[ImageFacts] = (),
    *,
    exclude_digests: Collection[str] = (),
    near_duplicate_distance: int = NEAR_DUPLICATE_DISTANCE,
) -> tuple[list[ImageFacts], list[Rejection]]:
    """Leave out gray images, the evaluation set and its copies, duplicates and near-duplicates.

    Of several copies the one with the most pixels stays, of equal ones that with the first name.

    Args:
        facts: The candidates, in any order.
        evaluation: The images that accuracy is measured on.
        exclude_digests: Further digests to keep out.
        near_duplicate_distance: Bits in which the hashes of two images may differ to count as copies, 0..64.

    Returns:
        The usable candidates and the rejections of the others; neither depends on the order of the candidates.
    """
    held_out = sorted(evaluation, key=lambda fact: (fact.name, fact.digest))
    held_index = CopyIndex(held_out)
    held_digests = {fact.digest for fact in held_out} | set(exclude_digests)
    held_ids = {coco_id(fact.name) for fact in held_out} - {None}
    kept_index, kept = CopyIndex(), dict[str, ImageFacts]()
    rejections: list[Rejection] = []
    for fact in sorted(facts, key=lambda fact: (-fact.width * fact.height, fact.name, fact.digest)):
        reason, detail = "", ""
        if fact.grayscale:
            reason, detail = "grayscale", "it has no colour"
        elif fact.digest in held_digests or coco_id(fact.name) in held_ids:
            reason, detail = "evaluation set", "accuracy is measured on this image"
        elif copy := held_index.near(fact, near_duplicate_distance):
            reason, detail = "evaluation set", f"nearly a copy of {copy}, on which accuracy is measured"
        elif fact.digest in kept:
            reason, detail = "duplicate", f"the same file as {kept[fact.digest].name}"
        elif copy := kept_index.near(fact, near_duplicate_distance):
            reason, detail = "near-duplicate", f"nearly a copy of {copy}"
        if reason:
            rejections.append(Rejection(name=fact.name, reason=reason, detail=detail))
        else:
            kept[fact.digest] = fact
            kept_index.add(fact)
    return list(kept.values()), rejections


def coco_id(name: str) -> int | None:
    """Return the image id that a COCO file name holds (``000000000139.jpg``, ``COCO_val2014_000000000139.jpg``)."""
    match = _COCO_NAME.fullmatch(PurePosixPath(name).name)
    return int(match.group(1)) if match else None
