"""Average precision by the COCO protocol.

AP is computed by pycocotools (cocodataset.org, "Detection evaluation"): the mean over IoU 0.50, 0.55, .. 0.95, over
classes and over 101 recall points. A class without objects, or a size of object that does not occur, has no AP; it is
None here and never the -1 of pycocotools.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pycocotools import coco as pycoco
from pycocotools import cocoeval as pycocoeval
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pydantic import BaseModel, ConfigDict

from inference.decode import Detections
from tasks.coco import Dataset

_AREAS = ("all", "small", "medium", "large")
_RANK = 2  # maxDets = [1, 10, max_detections]

# pycocotools reports its progress with print. Not contextlib.redirect_stdout: it swaps the one sys.stdout of all
# threads, and of two that measure at once the second one to end would leave a stranger there.
for _module in (pycoco, pycocoeval):
    vars(_module)["print"] = lambda *args, **options: None


class Accuracy(BaseModel):
    """Average precision of one model on one data set, each 0..1, or None where nothing of the kind is annotated.

    Attributes:
        ap: Over IoU 0.50 to 0.95.
        ap50: At IoU 0.50.
        ap75: At IoU 0.75.
        ap_small: Objects under 32 x 32 square pixels.
        ap_medium: Between.
        ap_large: Objects over 96 x 96 square pixels.
        per_class: Class name to AP over IoU 0.50 to 0.95, for every class of the data set.
        images: Number of images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    per_class: dict[str, float | None]
    images: int


def average_precision(
    dataset: Dataset, detections_per_image: Mapping[int, Detections], *, max_detections: int = 100
) -> Accuracy:
    """Compute AP as pycocotools does.

    Args:
        dataset: Images and annotated boxes.
        detections_per_image: Image id to what was found there, one entry for each image of the data set; an image where
            nothing was found has an entry without boxes.
        max_detections: The most detections of an image and class that count, best first.

    Returns:
        The accuracy.

    Raises:
        ValueError: The images are not those of the data set, or detections hold a class that it does not have, or a
            value that is not finite; or `max_detections` is less than 1.
    """
    if max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, not {max_detections}")
    results = to_coco_results(dataset, detections_per_image)
    evaluation = COCOeval(_truth(dataset), _results(dataset, results), "bbox")
    evaluation.params.maxDets = [min(1, max_detections), min(10, max_detections), max_detections]
    evaluation.evaluate()
    evaluation.accumulate()
    # float64 [IoU threshold, recall, class, area, maxDets]; -1 where nothing is annotated.
    precision: np.ndarray = evaluation.eval["precision"][..., _RANK]
    thresholds = np.round(evaluation.params.iouThrs, 2)
    by_area = {area: _mean(precision[:, :, :, index]) for index, area in enumerate(_AREAS)}
    return Accuracy(
        ap=by_area["all"],
        ap50=_mean(precision[thresholds == 0.5, :, :, 0]),
        ap75=_mean(precision[thresholds == 0.75, :, :, 0]),
        ap_small=by_area["small"],
        ap_medium=by_area["medium"],
        ap_large=by_area["large"],
        per_class={name: _mean(precision[:, :, index, 0]) for index, name in enumerate(dataset.class_names)},
        images=len(dataset.images),
    )


def to_coco_results(dataset: Dataset, detections_per_image: Mapping[int, Detections]) -> list[dict[str, Any]]:
    """Turn detections into COCO's results layout (cocodataset.org, "Results format").

    Args:
        dataset: Gives the category id of each class index.
        detections_per_image: Image id to what was found there, one entry for each image of the data set.

    Returns:
        One entry for each detection: ``image_id``, ``category_id``, ``bbox`` (left, top, width, height in pixels) and
        ``score``; images by id, each best first as it came.

    Raises:
        ValueError: The images are not those of the data set, or detections hold a class that it does not have, or a
            value that is not finite.
    """
    check_detections(dataset, detections_per_image)
    category_ids = dataset.category_ids
    results: list[dict[str, Any]] = []
    for image_id in sorted(detections_per_image):
        found = detections_per_image[image_id]
        boxes = found.boxes_xyxy.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        for box, score, index in zip(boxes.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True):
            results.append({"image_id": image_id, "category_id": category_ids[index], "bbox": box, "score": score})
    return results


def check_detections(dataset: Dataset, detections_per_image: Mapping[int, Detections]) -> None:
    """Make sure that detections are of a data set's images, of its classes, and finite.

    Raises:
        ValueError: They are not.
    """
    asked, given = {image.id for image in dataset.images}, set(detections_per_image)
    if asked != given:
        raise ValueError(
            f"detections must be of the data set's {len(asked)} images: {len(asked - given)} of these are missing, "
            f"{len(given - asked)} are of other images"
        )
    classes = len(dataset.categories)
    for image_id, found in detections_per_image.items():
        if not (np.isfinite(found.boxes_xyxy).all() and np.isfinite(found.scores).all()):
            raise ValueError(f"image {image_id}: a box or score is NaN or infinite")
        if len(found) and not 0 <= found.class_ids.min() <= found.class_ids.max() < classes:
            raise ValueError(f"image {image_id}: a class id is not within 0 to {classes - 1}, the data set's classes")


def _mean(precision: np.ndarray) -> float | None:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def _truth(dataset: Dataset) -> COCO:
    boxes = [
        {"image_id": image_id, "category_id": box.category_id, "bbox": list(box.xywh), "area": box.area}
        | {"iscrowd": int(box.iscrowd)}
        for image_id, of_image in dataset.boxes.items()
        for box in of_image
    ]
    return _coco(dataset, boxes)


def _results(dataset: Dataset, results: list[dict[str, Any]]) -> COCO:
    # Not COCO.loadRes: it fails on an empty list.
    return _coco(dataset, [entry | {"area": entry["bbox"][2] * entry["bbox"][3], "iscrowd": 0} for entry in results])


def _coco(dataset: Dataset, boxes: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image.id, "width": image.width, "height": image.height} for image in dataset.images],
        "categories": [{"id": identity, "name": name} for identity, name in dataset.categories],
        # Ids from 1: pycocotools takes a match with id 0 for no match.
        "annotations": [entry | {"id": number} for number, entry in enumerate(boxes, start=1)],
    }
    coco.createIndex()
    return coco
