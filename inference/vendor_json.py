"""Detections as the vendor's Python samples write them, for tools that read those.

The format is that of sample/CenterNet/python/centernet_opencv.py in sophgo/sophon-demo (commit 2cdda5e): one list with
an entry for each image, also where nothing was found; boxes in whole pixels, cut, not rounded; class ids from 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from inference.decode import Detections

INDENT = 4


def vendor_result(name: str, detections: Detections) -> Dict[str, Any]:
    """The entry of one image.

    Args:
        name: The image's file name.
        detections: What was found in it.

    Returns:
        ``image_name``, and ``bboxes``: a list of ``bbox`` as [left, top, width, height], ``category_id`` (the class id,
        from 0) and ``score``.
    """
    boxes = []
    for box, score, class_id in zip(detections.boxes_xyxy, detections.scores, detections.class_ids):
        left, top, right, bottom = (float(value) for value in box)
        pixels = [int(left), int(top), int(right - left), int(bottom - top)]
        boxes.append({"bbox": pixels, "category_id": int(class_id), "score": float(score)})
    return {"image_name": name, "bboxes": boxes}


def vendor_file_name(bmodel: Path, source: str) -> str:
    """The name that the vendor's sample gives its file, by which its evaluation scripts find it.

    Args:
        bmodel: The model's file.
        source: The last part of the input's name.
    """
    return f"{bmodel.name}_{source}_opencv_python_result.json"
