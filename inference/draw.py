"""Drawing detections into a picture."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Sequence, Tuple

import cv2
import numpy as np

from inference.decode import Detections

MIN_SIDE = 512
"""A picture whose longer side is shorter than this is enlarged, so that names can be read in it."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_RATIO = 0.618033988749895

Colour = Tuple[int, int, int]


def draw(image: np.ndarray, detections: Detections, class_names: Sequence[str], *, enlarge: bool = True) -> np.ndarray:
    """Draw boxes, class names and scores.

    Text and lines grow with the picture; a small picture is enlarged by a whole factor first. The
    best detections are drawn last, over the others. A class has the same colour in every picture.

    Args:
        image: uint8 [H, W, 3], channels in BGR order; not changed.
        detections: Boxes in pixels of the image.
        class_names: The name of each class id; an id without one is shown as its number.
        enlarge: Whether a small picture may grow.

    Returns:
        uint8 [k H, k W, 3] BGR, a new picture; k is 1 where the longer side is at least 512 pixels.
    """
    factor = max(1, -(-MIN_SIDE // max(image.shape[:2]))) if enlarge else 1
    picture = np.ascontiguousarray(np.repeat(np.repeat(image, factor, axis=0), factor, axis=1))
    height, width = picture.shape[:2]
    line = max(1, round(max(height, width) / 400))
    # OpenCV's coordinates are 32-bit integers; boxes may reach far outside the image.
    corners = np.clip(detections.boxes_xyxy * factor, -line, [width + line, height + line, width + line, height + line])
    for box, score, class_id in zip(corners[::-1], detections.scores[::-1], detections.class_ids[::-1]):
        left, top, right, bottom = (round(float(value)) for value in box)
        colour = class_colour(int(class_id))
        cv2.rectangle(picture, (left, top), (right, bottom), colour, line, cv2.LINE_AA)
        name = class_names[class_id] if class_id < len(class_names) else str(class_id)
        _label(picture, f"{_ascii(name)} {score:.2f}", (left, top), colour, line)
    return picture


@lru_cache(maxsize=256)
def class_colour(class_id: int) -> Colour:
    """The colour of a class in BGR; neighbouring ids are far apart in hue.

    Args:
        class_id: Any number from 0.
    """
    hue = class_id * _GOLDEN_RATIO % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 if class_id % 2 else 0.65, 0.95)
    return round(255 * blue), round(255 * green), round(255 * red)


def _label(picture: np.ndarray, text: str, corner: Tuple[int, int], colour: Colour, line: int) -> None:
    """Write text on a ground of the class's colour: above the box, or inside where there is no room."""
    height, width = picture.shape[:2]
    scale = max(0.4, max(height, width) / 1600)
    (text_width, text_height), baseline = cv2.getTextSize(text, _FONT, scale, max(1, line // 2))
    pad = max(2, line)
    full_width, full_height = text_width + 2 * pad, text_height + baseline + 2 * pad
    left = min(max(corner[0], 0), max(width - full_width, 0))
    top = corner[1] - full_height if corner[1] >= full_height else max(corner[1], 0)
    top = min(top, max(height - full_height, 0))
    cv2.rectangle(picture, (left, top), (left + full_width, top + full_height), colour, cv2.FILLED)
    # Luma of BT.601: black on light grounds, white on dark ones.
    blue, green, red = colour
    ink = (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 140 else (255, 255, 255)
    origin = (left + pad, top + pad + text_height)
    cv2.putText(picture, text, origin, _FONT, scale, ink, max(1, line // 2), cv2.LINE_AA)


def _ascii(name: str) -> str:
    """OpenCV's fonts hold ASCII only."""
    return name.encode("ascii", "replace").decode("ascii")
