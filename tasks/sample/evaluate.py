"""Accuracy of a torch network on generated scenes: COCO's metric, by the decoding that the device uses."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from artifacts.protocols import PROTOCOLS
from artifacts.release import PreprocessSpec
from inference.decode import Detections, decode
from inference.preprocess import preprocess
from tasks.accuracy import Accuracy, average_precision
from tasks.coco import parse_dataset
from tasks.sample import INPUT_SIDE
from tasks.sample.scenes import coco_annotations, coco_categories, render_scene, scene_index

SPEC = PreprocessSpec(width=INPUT_SIDE, height=INPUT_SIDE)
SCORE_FLOOR = PROTOCOLS["coco"].score_floor

Predictor = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def torch_predictor(network: nn.Module) -> Predictor:
    """Turns a network into a function on arrays.

    Args:
        network: put into evaluation mode.

    Returns:
        Function from float32 [N, 3, H, W] to the head tensor, float32 [N, C + 4, H / 4, W / 4].
    """
    network.eval()

    def predict(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(batch)).numpy(), np.float32)

    return predict


def evaluate(predict: Predictor, *, count: int, seed: int) -> Accuracy:
    """Measures on the first scenes of the evaluation split.

    Args:
        predict: from float32 [1, 3, 256, 256] to the head tensor, float32 [1, 84, 64, 64].
        count: number of scenes.
        seed: family of scenes.

    Returns:
        Accuracy, by COCO's metric.
    """
    images: list[dict[str, object]] = []
    truth: list[dict[str, object]] = []
    found: dict[int, Detections] = {}
    for image_id in range(1, count + 1):
        pixels, objects = render_scene(seed, scene_index("evaluation", image_id - 1))
        size = (pixels.shape[0], pixels.shape[1])
        images.append({"id": image_id, "file_name": f"{image_id}.png", "height": size[0], "width": size[1]})
        truth += coco_annotations(objects, image_id=image_id, first_id=len(truth) + 1)
        found[image_id] = detect(predict, pixels, SPEC)
    document = {"images": images, "annotations": truth, "categories": coco_categories()}
    return average_precision(parse_dataset(json.dumps(document).encode()), found)


def detect(predict: Predictor, image: NDArray[np.uint8], spec: PreprocessSpec) -> Detections:
    """Finds what is to be measured in one image, by COCO's protocol.

    Args:
        predict: from float32 [1, 3, spec.height, spec.width] to the head tensor.
        image: uint8 [H, W, 3], BGR.
        spec: what the network expects.

    Returns:
        Detections in pixels of the image.
    """
    heads = predict(preprocess(image, spec)[None])
    return decode(heads, [(image.shape[0], image.shape[1])], spec=spec, conf=SCORE_FLOOR)[0]
