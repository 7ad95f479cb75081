"""Results of a build whose images can be looked at."""

from __future__ import annotations

import json

import cv2
import numpy as np

from artifacts.store import Blob
from tasks.publish import Results
from tasks.records import CalibrationSet, ImageSet, Measured, StoredImage
from tasks.workspace import Workspace
from tests.tasks.image_files import scene
from tests.tasks.results import FP32, INT8, heads, measured, results

HOSTILE = '"><img src=x onerror=alert(1)>|`.png'
HOSTILE_CLASS = "<script>alert('class')</script> | *bold*"

BOX = [10.0, 10.0, 60.0, 50.0]


def pictured(
    workspace: Workspace, *, failing: tuple[str, ...] = (), name: str = HOSTILE, ap: float | None = 0.6
) -> Results:
    """Two variants on one image of which int8 loses the object; its name and a class's name are up to no good."""
    content = workspace.content
    _, encoded = cv2.imencode(".png", scene(1, width=160, height=120))
    image = StoredImage(name=name, blob=content.put_bytes(encoded.tobytes()))
    annotations = {
        "images": [{"id": 1, "file_name": name, "width": 160, "height": 120}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 10, 50, 40]}],
        "categories": [{"id": 7, "name": HOSTILE_CLASS}, {"id": 9, "name": "square"}],
    }
    by_class = {} if ap is None else {HOSTILE_CLASS: ap, "square": None}
    found = _detections(workspace, name, [BOX])
    lost = _detections(workspace, name, [])
    lower = None if ap is None else ap - 0.1

    def rung(variant: object, ap: float | None, detections: Blob, **more: object) -> Measured:
        one = {} if ap is None else {HOSTILE_CLASS: ap, "square": None}
        return measured(workspace, variant, ap, detections=detections, by_class=one, **more)  # type: ignore[arg-type]

    sheet = content.put_bytes(cv2.imencode(".jpg", np.full((40, 60, 3), 90, np.uint8))[1].tobytes())
    return results(workspace, failing=failing).model_copy(
        update={
            "calibration": CalibrationSet(images=(image,), manifest=content.put_bytes(b"{}"), contact_sheet=sheet),
            "evaluation": ImageSet(images=(image,), annotations=content.put_bytes(json.dumps(annotations).encode())),
            "network": measured(workspace, None, ap, rung="PyTorch", distances=heads(), by_class=by_class),
            "reference": rung(None, ap, found),
            "measured": (rung(FP32, ap, found), rung(INT8, lower, lost, worst=(name,))),
        }
    )


def _detections(workspace: Workspace, name: str, boxes: list[list[float]]) -> Blob:
    entry = {"boxes": boxes, "scores": [0.9] * len(boxes), "classes": [0] * len(boxes)}
    return workspace.content.put_bytes(json.dumps({name: entry}).encode())
