"""The curated set as a step: out of the candidates, never an image of the evaluation set."""

from __future__ import annotations

from pathlib import Path

from artifacts.store import ContentStore
from settings.sections import Curation
from tasks.coco import Dataset, parse_dataset
from tasks.contact_sheet import contact_sheet
from tasks.curate import CuratedSet, curate
from tasks.image_facts import Candidate
from tasks.records import CalibrationSet, ImageSet, StoredImage
from tasks.step import step
from tasks.workspace import Workspace


@step(version=1, slot="curate")
def curate_images(
    candidates: ImageSet, evaluation: ImageSet, curation: Curation, workspace: Workspace
) -> CalibrationSet:
    """Choose the calibration images.

    Args:
        candidates: Images to choose from, with boxes where there are any.
        evaluation: Images that accuracy is measured on, which are kept out.
        curation: How many, and the rules.
        workspace: Where bytes are kept.

    Returns:
        The curated set, its manifest and its contact sheet.

    Raises:
        NotEnoughImages: Too many candidates were turned down; the message counts why.
    """
    content = workspace.content
    chosen = curate(
        _candidates(candidates, content),
        count=curation.count,
        seed=curation.seed,
        evaluation=_candidates(evaluation, content),
        boxes=_boxes(candidates, content),
        min_side=curation.min_side,
        near_duplicate_distance=curation.near_duplicate_distance,
    )
    blobs = {image.name: image.blob for image in candidates.images}
    images = tuple(StoredImage(name=image.name, blob=blobs[image.name]) for image in chosen.images)
    sheet = contact_sheet((image.name, content.path(image.blob)) for image in images)
    return CalibrationSet(
        images=images, manifest=content.put_bytes(chosen.manifest()), contact_sheet=content.put_bytes(sheet)
    )


def read_manifest(calibration: CalibrationSet, content: ContentStore) -> CuratedSet:
    """Read how a curated set came about.

    Raises:
        MissingBlob: The manifest is not stored.
    """
    return CuratedSet.model_validate_json(content.verified(calibration.manifest).read_bytes())


def _candidates(images: ImageSet, content: ContentStore) -> list[Candidate]:
    return [Candidate(image.name, Path(content.verified(image.blob))) for image in images.images]


def _boxes(images: ImageSet, content: ContentStore) -> list[Dataset]:
    if images.annotations is None:
        return []
    return [parse_dataset(content.verified(images.annotations).read_bytes(), "the candidates' annotations")]
