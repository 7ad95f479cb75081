"""What preprocessing by BMCV costs, by its numpy model: how far the tensors are from the host's, and accuracy.

    python -m tests.benchmarks.hardware_preprocessing [--scenes 64] [--photographs FOLDER] [--weights FILE]

The sample's network on generated scenes. With --photographs (laid out like COCO) distances of the tensors at 512 x 512
on those of val2017, and with --weights (`make photographs` makes them) accuracy on those of train2017, which that
network was fitted to. docs/hardware-preprocessing.md holds what it printed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from artifacts.release import PreprocessSpec
from inference.bmcv import geometry
from inference.bmcv.comparing import agreement, tensor_distance, together
from inference.bmcv.modelled import convert_like_bmcv, preprocess_like_bmcv
from inference.decode import Detections, decode
from inference.preprocess import affine_from_output, preprocess
from tasks.accuracy import average_precision
from tasks.coco import Dataset, parse_dataset
from tasks.images import read_image
from tasks.network import build_network
from tasks.network.checkpoint import load_checkpoint
from tasks.sample import NETWORK, NUM_CLASSES, WEIGHTS, WIDTH
from tasks.sample.evaluate import SCORE_FLOOR, SPEC, Predictor, torch_predictor
from tasks.sample.scenes import coco_annotations, coco_categories, render_scene, scene_index
from tests.photographs.album import open_album

SHOWN = 0.35
Image = NDArray[np.uint8]


class Way(NamedTuple):
    """One way to prepare an image, and to bring boxes back."""

    name: str
    tensor: Callable[[Image, PreprocessSpec], NDArray[np.float32]]
    affine: Callable[[tuple[int, int], PreprocessSpec], NDArray[np.float64]]


def swapped(image: Image, spec: PreprocessSpec) -> NDArray[np.float32]:
    """As the vendor's sample does it: planes of RGB, with what belongs to those of BGR, and the nearest pixel."""
    return preprocess_like_bmcv(np.ascontiguousarray(image[:, :, ::-1]), spec, nearest=True)


def moved(image: Image, spec: PreprocessSpec) -> NDArray[np.float32]:
    """As on the host, by OpenCV, but to where BMCV puts the image: what is left of the difference is its rounding."""
    height, width = image.shape[:2]
    left, top, wide, high = geometry.place((height, width), spec)
    x, y = wide / width, high / height
    matrix = np.array([[x, 0, 0.5 * x - 0.5 + left], [0, y, 0.5 * y - 0.5 + top]])
    size = (spec.width, spec.height)
    return convert_like_bmcv(np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR), np.uint8), spec)


WAYS = (
    Way("host", preprocess, affine_from_output),
    Way("host, moved to where BMCV puts it", moved, geometry.affine_from_output),
    Way("BMCV", preprocess_like_bmcv, geometry.affine_from_output),
    Way("BMCV, boxes brought back as the host's", preprocess_like_bmcv, affine_from_output),
    Way(
        "BMCV with the nearest pixel",
        lambda image, spec: preprocess_like_bmcv(image, spec, nearest=True),
        geometry.affine_from_output,
    ),
    Way("the same with red and blue swapped", swapped, geometry.affine_from_output),
)


def main(arguments: list[str] | None = None) -> None:
    """Measures and prints tables.

    Args:
        arguments: without the program's name; the process's own when missing.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    pixels, dataset = scenes(options.scenes)
    accuracies(f"{options.scenes} generated scenes", lambda: iter(pixels.items()), dataset, WEIGHTS)
    if options.photographs is not None:
        distances(sorted((options.photographs / "val2017").glob("*.jpg")))
        if options.weights is not None:
            folder, annotations = options.photographs / "train2017", options.photographs / "annotations"
            album = open_album(folder, annotations / "instances_train2017.json").dataset
            files = {entry.id: folder / entry.file_name for entry in album.images}
            accuracies(
                f"{len(files)} photographs that the network was fitted to",
                lambda: ((identity, read_image(file)) for identity, file in files.items()),
                album,
                options.weights,
            )


def scenes(count: int) -> tuple[dict[int, Image], Dataset]:
    """The first scenes of the evaluation split, and what is in them."""
    images, truth, pixels = [], list[dict[str, object]](), dict[int, Image]()
    for identity in range(1, count + 1):
        pixels[identity], objects = render_scene(0, scene_index("evaluation", identity - 1))
        height, width = pixels[identity].shape[:2]
        images.append({"id": identity, "file_name": f"{identity}.png", "height": height, "width": width})
        truth += coco_annotations(objects, image_id=identity, first_id=len(truth) + 1)
    document = {"images": images, "annotations": truth, "categories": coco_categories()}
    return pixels, parse_dataset(json.dumps(document).encode())


def accuracies(title: str, images: Callable[[], Iterator[tuple[int, Image]]], dataset: Dataset, weights: Path) -> None:
    """Prints AP of each way, and how its detections agree with the host's."""
    network = build_network(NETWORK, WIDTH, NUM_CLASSES)
    load_checkpoint(weights, network)
    predict = torch_predictor(network)
    reference: dict[int, Detections] = {}
    print(f"\n{title}, {SPEC.width} x {SPEC.height}\n")
    print("| preprocessing | AP | AP50 | AP75 | detections | in both | their IoU | their scores apart |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for way in WAYS:
        found = {identity: detect(way, predict, image) for identity, image in images()}
        reference = reference or found
        ap = average_precision(dataset, found)
        same = together([agreement(shown(reference[one]), shown(found[one])) for one in found])
        aps = " | ".join(f"{value or 0:.4f}" for value in (ap.ap, ap.ap50, ap.ap75))
        print(f"| {way.name} | {aps} | {same.second} | {same.same} | {same.iou:.4f} | {same.score:.4f} |", flush=True)


def distances(files: list[Path]) -> None:
    """Prints how far the tensors of photographs are from the host's, in pixel values."""
    spec = PreprocessSpec()
    print(f"\n{len(files)} photographs, {spec.width} x {spec.height}, pixel values apart from the host's tensor\n")
    print("| preprocessing | mean | mean of the worst photograph | largest |\n| --- | --- | --- | --- |")
    for way in (*WAYS[1:3], *WAYS[4:]):
        apart = [
            tensor_distance(preprocess(image, spec), way.tensor(image, spec), spec) for image in map(read_image, files)
        ]
        means = [one.mean for one in apart]
        print(f"| {way.name} | {np.mean(means):.2f} | {max(means):.2f} | {max(one.largest for one in apart):.0f} |")


def detect(way: Way, predict: Predictor, image: Image) -> Detections:
    """What is to be measured in one image."""
    size = (image.shape[0], image.shape[1])
    heads = predict(way.tensor(image, SPEC)[None])
    return decode(heads, [size], spec=SPEC, conf=SCORE_FLOOR, affines=[way.affine(size, SPEC)])[0]


def shown(found: Detections) -> Detections:
    """What a user sees: from 0.35 on."""
    kept = found.scores >= np.float32(SHOWN)
    return Detections(found.boxes_xyxy[kept], found.scores[kept], found.class_ids[kept])


if __name__ == "__main__":
    main()
