"""Labelled photographs: as what a network is fitted to, and as what it is measured on."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from artifacts.release import PreprocessSpec
from tasks.accuracy import Accuracy, average_precision
from tasks.coco import Dataset, check_files, read_dataset
from tasks.errors import BadAnnotations
from tasks.images import read_image
from tasks.sample import NUM_CLASSES
from tasks.sample.evaluate import Predictor, detect
from tasks.sample.targets import Item, training_item

# Of the photographs that this is made for, all 128: about 120 MB.
KEPT_IMAGES = 256


class Album:
    """Photographs with boxes.

    Attributes:
        dataset: images and boxes.
        folder: where the images lie.
    """

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.dataset = dataset
        self.folder = folder
        self._index = {identity: index for index, identity in enumerate(dataset.category_ids)}
        self._read = lru_cache(KEPT_IMAGES)(read_image)

    def item(self, seed: int, position: int, side: int) -> Item:
        """One photograph with its targets: every round shows each once, half of them mirrored, in another order.

        Args:
            seed: of the order and of what is mirrored.
            position: counted over the rounds.
            side: input height and width in pixels, a multiple of 32.

        Returns:
            See `training_item`; the heatmap has a channel for each category. Crowds are no targets.
        """
        number, mirrored = self.turn(seed, position)
        entry = self.dataset.images[number]
        image = self._read(self.folder / entry.file_name)
        boxes = [box for box in self.dataset.boxes[entry.id] if not box.iscrowd and min(box.xywh[2:]) > 0]
        xywh = np.array([box.xywh for box in boxes], np.float64).reshape(-1, 4)
        if mirrored:
            image, xywh = mirror(image, xywh)
        classes = [self._index[box.category_id] for box in boxes]
        return training_item(image, xywh, classes, classes=len(self._index), side=side)

    def turn(self, seed: int, position: int) -> tuple[int, bool]:
        """Which photograph comes at a position, and whether it comes mirrored.

        Args:
            seed: of the order and of what is mirrored.
            position: counted over the rounds.

        Returns:
            Index into `dataset.images`, and True for mirrored.
        """
        count = len(self.dataset.images)
        random = np.random.default_rng([seed, position // count])
        order, mirrored = random.permutation(count), random.permutation(count) < count // 2
        return int(order[position % count]), bool(mirrored[position % count])

    def measure(self, predict: Predictor, side: int) -> Accuracy:
        """Measures on these photographs, by COCO's metric and the decoding that the device uses.

        Args:
            predict: from float32 [1, 3, side, side] to the head tensor.
            side: input height and width in pixels.

        Returns:
            Accuracy. Of a network that was fitted to them, it tells nothing of what the network does elsewhere.
        """
        spec = PreprocessSpec(width=side, height=side)
        found = {
            entry.id: detect(predict, self._read(self.folder / entry.file_name), spec) for entry in self.dataset.images
        }
        return average_precision(self.dataset, found)


def open_album(images: Path, annotations: Path) -> Album:
    """Reads annotations and makes sure that what they name is there.

    Args:
        images: folder of the photographs.
        annotations: COCO annotation file (JSON) about them.

    Returns:
        The photographs.

    Raises:
        BadAnnotations: the file is not sound, names no image, a photograph is missing, or there are not as many
            categories as the network has classes.
    """
    dataset = read_dataset(annotations)
    check_files(dataset, images)
    if not dataset.images:
        raise BadAnnotations(str(annotations), ["it names no image"], 1)
    if len(dataset.categories) != NUM_CLASSES:
        problem = f"it has {len(dataset.categories)} categories, but the network has the {NUM_CLASSES} classes of COCO"
        raise BadAnnotations(str(annotations), [problem], 1)
    return Album(dataset, images)


def mirror(image: NDArray[np.uint8], boxes_xywh: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Swaps left and right.

    Args:
        image: uint8 [H, W, 3].
        boxes_xywh: float64 [M, 4], left, top, width, height, in pixels.

    Returns:
        The mirrored image and its boxes.
    """
    mirrored = boxes_xywh.copy()
    mirrored[:, 0] = image.shape[1] - boxes_xywh[:, 0] - boxes_xywh[:, 2]
    return np.ascontiguousarray(image[:, ::-1]), mirrored
