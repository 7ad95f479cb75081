"""The vendor's format, as its Python sample writes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from inference.decode import Detections
from inference.vendor_json import vendor_file_name, vendor_result


def test_boxes_are_cut_to_whole_pixels_and_classes_counted_from_zero() -> None:
    boxes = np.array([[10.9, 20.2, 110.5, 70.1], [-3.7, -0.2, 5.0, 5.0]], np.float32)
    found = Detections(boxes, np.array([0.75, 0.5], np.float32), np.array([0, 79], np.int32))
    assert json.loads(json.dumps(vendor_result("street.jpg", found))) == {
        "image_name": "street.jpg",
        "bboxes": [
            {"bbox": [10, 20, 99, 49], "category_id": 0, "score": 0.75},
            {"bbox": [-3, 0, 8, 5], "category_id": 79, "score": 0.5},
        ],
    }


def test_an_image_without_detections_has_an_entry_too() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
    assert vendor_result("street.jpg", nothing) == {"image_name": "street.jpg", "bboxes": []}


def test_the_file_is_named_as_the_vendors_evaluation_looks_for_it() -> None:
    name = vendor_file_name(Path("models/BM1684X/centernet_int8_1b.bmodel"), "val2017_1000")
    assert name == "centernet_int8_1b.bmodel_val2017_1000_opencv_python_result.json"
