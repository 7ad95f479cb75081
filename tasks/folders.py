"""Images in local folders, and what annotation files say about them. Reads names and annotations, stores nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from artifacts.digest import digest_file
from tasks.coco import Box, Dataset, ImageEntry, read_dataset
from tasks.curate import IMAGE_SUFFIXES
from tasks.errors import BadAnnotations, BadImage, ImagesAmbiguous, ImagesMissing

_SHOWN = 10


def check_folders(folders: Sequence[Path]) -> None:
    """Look whether some folders are there.

    Raises:
        ImagesMissing: One does not exist.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ImagesMissing(f"The image folder {folder} does not exist. Correct the source's `folders`.")


def images_in(folders: Sequence[Path]) -> dict[str, Path]:
    """List the image files that lie directly in some folders.

    Args:
        folders: The folders, in order.

    Returns:
        File name to path, by the suffixes of images, sorted. A file that lies in two folders with the same bytes is
        listed once.

    Raises:
        ImagesMissing: A folder does not exist, or there is no image in any.
        ImagesAmbiguous: Two folders hold different files of one name.
        BadImage: A file's name is not UTF-8.
    """
    found: dict[str, Path] = {}
    differing = []
    check_folders(folders)
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                _check_name(path)
                first = found.setdefault(path.name, path)
                if first != path and digest_file(first) != digest_file(path):
                    differing.append(path.name)
    if differing:
        raise _ambiguous(folders, differing)
    if not found:
        listing, known = ", ".join(map(str, folders)), ", ".join(sorted(IMAGE_SUFFIXES))
        raise ImagesMissing(f"No images were found directly in {listing}. What counts as one ends in {known}.")
    return dict(sorted(found.items()))


def described_in(folders: Sequence[Path], files: Sequence[Path]) -> tuple[Dataset, dict[str, Path]]:
    """Read annotation files, and find the images that they name.

    Args:
        folders: Where the images lie under their file names.
        files: Annotation files in COCO's layout, at least one.

    Returns:
        One data set, and file name to path for all its images.

    Raises:
        BadAnnotations: A file is wrong, names images that are in none of the folders, or has other categories than the
            first.
        ImagesAmbiguous: Two files describe the same image, or two folders hold different files of one name.
    """
    datasets = {path: read_dataset(path) for path in files}
    paths: dict[str, Path] = {}
    for file, dataset in datasets.items():
        missing = []
        for image in dataset.images:
            path = _in_folders(image.file_name, folders)
            if path is None:
                missing.append(f"image {image.id}: {image.file_name} is in none of the folders")
            else:
                paths[image.file_name] = path
        if missing:
            raise BadAnnotations(str(file), missing[:_SHOWN], len(missing))
    return joined(datasets), paths


def joined(datasets: Mapping[Path, Dataset]) -> Dataset:
    """Join data sets that describe different images.

    Args:
        datasets: Annotation file to its content, at least one.

    Returns:
        All images. They keep their ids, unless two files use one id for different images: then all get new ones, in
        the order of the files.

    Raises:
        BadAnnotations: The categories differ.
        ImagesAmbiguous: Two files describe the same image.
    """
    first = next(iter(datasets))
    for path, dataset in datasets.items():
        if dataset.categories != datasets[first].categories:
            raise BadAnnotations(str(path), [f"its categories are not those of {first}"], 1)
    found = [(image, dataset.boxes[image.id]) for dataset in datasets.values() for image in dataset.images]
    names = [image.file_name for image, _ in found]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ImagesAmbiguous("Two annotation files describe the same images", twice, "Name each image in one of them.")
    if len({image.id for image, _ in found}) < len(found):
        found = [(image.model_copy(update={"id": number}), boxes) for number, (image, boxes) in enumerate(found, 1)]
    return _dataset(found, datasets[first].categories)


def _dataset(found: list[tuple[ImageEntry, tuple[Box, ...]]], categories: tuple[tuple[int, str], ...]) -> Dataset:
    ordered = sorted(found, key=lambda item: item[0].id)
    return Dataset(
        images=tuple(image for image, _ in ordered),
        boxes={image.id: boxes for image, boxes in ordered},
        categories=categories,
    )


def _in_folders(name: str, folders: Sequence[Path]) -> Path | None:
    paths = [folder / name for folder in folders if (folder / name).is_file()]
    if len(paths) > 1 and len({digest_file(path) for path in paths}) > 1:
        raise _ambiguous(folders, [name])
    return paths[0] if paths else None


def _ambiguous(folders: Sequence[Path], names: Sequence[str]) -> ImagesAmbiguous:
    listing = ", ".join(map(str, folders))
    return ImagesAmbiguous(
        f"Different images of the same name lie in {listing}",
        names,
        "Rename one of each pair, and its entry in the annotations: an image is known by its name.",
    )


def _check_name(path: Path) -> None:
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise BadImage(repr(path.name), "unreadable", f"The name of {path!r} is not UTF-8. Rename the file.") from error
