"""Images and annotations into the store, wherever they come from."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from artifacts.digest import canonical_json
from artifacts.store import ContentStore
from settings.sources import CocoSource, FileSource, FolderSource, GeneratedSource, ImageSource, LabelledSource
from tasks.coco import Dataset, parse_dataset, read_dataset
from tasks.download import fetch_many
from tasks.errors import ImagesMissing
from tasks.folders import described_in, images_in
from tasks.records import Checkpoint, ImageSet, StoredImage
from tasks.sample.scenes import write_scenes
from tasks.source_files import download_options, obtain
from tasks.sources.model import Item, Source
from tasks.step import step
from tasks.workspace import Workspace


@task(task_run_name="download weights", cache_policy=NO_CACHE)
def download_weights(weights: FileSource, workspace: Workspace) -> Checkpoint:
    """Get the checkpoint; what was downloaded before is hashed and used again.

    Args:
        weights: Where the file can be had, and how it is known.
        workspace: Where bytes are kept.

    Returns:
        The checkpoint, by digest. Nothing is cached beyond that: a local file may have changed.

    Raises:
        DownloadError: No mirror gave the right bytes.
    """
    return Checkpoint(blob=workspace.content.put_file(obtain(weights, workspace)))


@step(version=1, slot="draw {split} scenes")
def draw_scenes(split: str, count: int, seed: int, workspace: Workspace) -> ImageSet:
    """Draw the sample's scenes.

    Args:
        split: `calibration` or `evaluation`; they never share a scene.
        count: How many.
        seed: Of the drawing.
        workspace: Where bytes are kept.

    Returns:
        The scenes with their exact boxes.
    """
    with workspace.content.scratch(f"scenes-{split}") as folder:
        dataset = read_dataset(write_scenes(folder, split=split, count=count, seed=seed))
        paths = {image.file_name: folder / "images" / image.file_name for image in dataset.images}
        return _stored(paths, dataset, workspace.content)


@task(task_run_name="collect {purpose} images", cache_policy=NO_CACHE)
def collect_folders(source: FolderSource, purpose: str, workspace: Workspace) -> ImageSet:
    """Take images from local folders. Always looks: somebody may have changed them.

    Args:
        source: Folders, and annotation files about the images in them.
        purpose: For `evaluation` exactly the annotated images count; for `calibration` all that lie in the folders.
        workspace: Where bytes are kept.

    Returns:
        The images.

    Raises:
        ImagesMissing: A folder does not exist or holds no images.
        ImagesAmbiguous: The same name stands for different images, or an image is described twice.
        BadAnnotations: An annotation file is wrong, or names images that are not in the folders.
    """
    paths = images_in(source.folders)
    if not source.annotations:
        return _stored(paths, None, workspace.content)
    dataset, described = described_in(source.folders, source.annotations)
    if purpose == "evaluation" and not described:
        files = ", ".join(map(str, source.annotations))
        raise ImagesMissing(f"The annotations {files} describe no image, so that there is nothing to evaluate.")
    return _stored(described if purpose == "evaluation" else paths | described, dataset, workspace.content)


@task(task_run_name="download {purpose} images", cache_policy=NO_CACHE)
def download_coco(source: CocoSource, limit: int | None, purpose: str, seed: int, workspace: Workspace) -> ImageSet:
    """Get a split of COCO image by image, and the boxes of exactly those images.

    Args:
        source: The split.
        limit: Only the first so many by image id; None means all that are considered.
        purpose: `calibration` or `evaluation`.
        seed: Of the choice of candidates, where fewer are considered than there are.
        workspace: Where bytes are kept.

    Returns:
        The images.

    Raises:
        DownloadError: Files that no mirror gave.
        BadAnnotations: The split's annotation file is wrong.
    """
    dataset = read_dataset(obtain(source.instances, workspace))
    ids = [image.id for image in dataset.images]
    if source.candidates is not None and source.candidates < len(ids):
        ids = sorted(random.Random(seed).sample(ids, source.candidates))
    dataset = dataset.subset(ids[:limit])
    folder = Path(workspace.cache) / "downloads" / source.split
    paths = {image.file_name: folder / image.file_name for image in dataset.images}
    items = [Item(source=Source(name=name, mirrors=source.image_mirrors), target=path) for name, path in paths.items()]
    # COCO publishes no digests of single images: they are recorded at first use and enforced from then on.
    fetch_many(items, options=download_options(workspace, record_first_use=True), title=f"{purpose} images")
    return _stored(paths, dataset, workspace.content)


def gather(
    source: ImageSource | LabelledSource, purpose: str, limit: int | None, seed: int, workspace: Workspace
) -> ImageSet:
    """Get the images of a source by the task for its kind.

    Args:
        source: Where the images are.
        purpose: `calibration` or `evaluation`.
        limit: Only the first so many by image id; None means all.
        seed: Of a choice among candidates.
        workspace: Where bytes are kept.

    Returns:
        The images.
    """
    if isinstance(source, GeneratedSource):
        return draw_scenes(purpose, source.count if limit is None else min(source.count, limit), source.seed, workspace)
    if isinstance(source, CocoSource):
        return download_coco(source, limit, purpose, seed, workspace)
    images = collect_folders(source, purpose, workspace)
    return images if limit is None else first_images(images, limit, workspace.content)


def first_images(images: ImageSet, limit: int, content: ContentStore) -> ImageSet:
    """Return the first images of a set: by id where it is annotated, else by name."""
    if images.annotations is None:
        return images.model_copy(update={"images": images.images[:limit]})
    dataset = parse_dataset(content.verified(images.annotations).read_bytes())
    dataset = dataset.subset([image.id for image in dataset.images[:limit]])
    kept = {image.file_name for image in dataset.images}
    return ImageSet(
        images=tuple(image for image in images.images if image.name in kept),
        annotations=content.put_bytes(dataset_json(dataset)),
    )


def dataset_json(dataset: Dataset) -> bytes:
    """Write a data set in COCO's layout; equal data sets give equal bytes."""
    annotations = [
        {
            "id": number,
            "image_id": image_id,
            "category_id": box.category_id,
            "bbox": list(box.xywh),
            "area": box.area,
            "iscrowd": int(box.iscrowd),
        }
        for number, (image_id, box) in enumerate(
            ((image.id, box) for image in dataset.images for box in dataset.boxes[image.id]), start=1
        )
    ]
    return canonical_json(
        {
            "images": [image.model_dump() for image in dataset.images],
            "annotations": annotations,
            "categories": [{"id": identity, "name": name} for identity, name in dataset.categories],
        }
    )


def _stored(paths: Mapping[str, Path], dataset: Dataset | None, content: ContentStore) -> ImageSet:
    images = tuple(StoredImage(name=name, blob=content.put_file(path)) for name, path in sorted(paths.items()))
    return ImageSet(images=images, annotations=content.put_bytes(dataset_json(dataset)) if dataset else None)
