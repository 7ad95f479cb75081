"""What one model finds in an image beside what another one finds, drawn for somebody to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from inference.decode import Detections
from tasks.coco import Box
from tasks.report.jpeg import encode
from tasks.worst_images import Match, match

Colour = tuple[int, int, int]

TRUE: Colour = (233, 180, 86)
MISSED: Colour = (66, 228, 240)
INVENTED: Colour = (40, 82, 235)
ANNOTATED: Colour = (240, 240, 240)
"""BGR. Sky blue, yellow and vermilion stay apart for the colour-blind too. Nobody has to see them: the lines are plain,
dashed and double, and the labels of what is missed and invented begin with that word."""

MAX_BYTES = 80_000
"""What one pair of pictures should not exceed."""

_SIDE = 460
_STRIP = 26
_GAP = 8
_DASH = 9
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SCALE = 0.42
_PAPER: Colour = (32, 32, 32)
_INK: Colour = (240, 240, 240)
_SHADE: Colour = (0, 0, 0)
# Boxes of different kinds that are the same stay visible beside each other.
_INSETS = {TRUE: 0, MISSED: -4, INVENTED: 4, ANNOTATED: 0}

_Area = tuple[int, int, int, int]
_Mark = tuple[list[float], str, Colour]


class Panel(NamedTuple):
    """One side of a pair: what it is called, and what was found there."""

    title: str
    found: Detections


class Truth(NamedTuple):
    """What there is to be found in an image: its boxes, and the id and name of each class."""

    boxes: Sequence[Box]
    category_ids: Sequence[int]
    class_names: Sequence[str]


def side_by_side(image: np.ndarray, truth: Truth, panels: Sequence[Panel]) -> bytes:
    """Draw what several models find in an image, one picture beside the other.

    Args:
        image: uint8 [H, W, 3] BGR.
        truth: What there is.
        panels: One for each model, from left to right. Detections with a score below 0.3 are left out, as they are
            where images are compared (`tasks.worst_images`).

    Returns:
        A JPEG file; the same arguments give the same bytes (with one version of OpenCV).
    """
    drawn = [_panel(image, truth, panel) for panel in panels]
    gap = np.full((drawn[0].shape[0], _GAP, 3), _PAPER, dtype=np.uint8)
    parts = [part for picture in drawn for part in (picture, gap)][:-1]
    return encode(np.hstack(parts), MAX_BYTES)


def annotated(image: np.ndarray, truth: Truth) -> bytes:
    """Draw what there is to be found in an image.

    Args:
        image: uint8 [H, W, 3] BGR.
        truth: What there is.

    Returns:
        A JPEG file; the same arguments give the same bytes (with one version of OpenCV).
    """
    names = _names(truth)
    marks = [(_corners(box), _label_of(box, names), ANNOTATED) for box in truth.boxes]
    return encode(_picture(image, f"annotated boxes: {len(marks)}", marks), MAX_BYTES)


def listed(truth: Truth) -> tuple[str, ...]:
    """Write each annotated box as text: class, and left, top, width and height in pixels of the image."""
    names = _names(truth)
    return tuple(
        f"{_label_of(box, names)}: left {box.xywh[0]:.0f}, top {box.xywh[1]:.0f}, {box.xywh[2]:.0f} x {box.xywh[3]:.0f}"
        for box in truth.boxes
    )


def counts(result: Match) -> str:
    """Say in a few words what the detections of an image are worth."""
    return f"{len(result.true)} found, {len(result.missed)} missed, {len(result.invented)} invented"


def _panel(image: np.ndarray, truth: Truth, panel: Panel) -> np.ndarray:
    result = match(truth.boxes, panel.found, truth.category_ids)
    return _picture(image, f"{panel.title}: {counts(result)}", list(_marks(truth, panel.found, result)))


def _picture(image: np.ndarray, title: str, found: Sequence[_Mark]) -> np.ndarray:
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    # OpenCV's coordinates are 32-bit integers; boxes may reach far outside the image.
    edge = (size[0] - 1, size[1] - 1) * 2
    marks = [
        ([round(min(max(value * scale, 0), most)) for value, most in zip(corners, edge, strict=True)], text, colour)
        for corners, text, colour in found
    ]
    for corners, _, colour in marks:
        _box(picture, corners, colour)
    taken: list[_Area] = []
    for corners, text, colour in reversed(marks):  # what matters most has the first choice of a place
        taken.append(_label(picture, text, corners, colour, taken))
    strip = np.full((_STRIP, picture.shape[1], 3), _PAPER, dtype=np.uint8)
    _write(strip, title, (4, _STRIP - 9), _INK)
    return np.vstack([strip, picture])


def _marks(truth: Truth, found: Detections, result: Match) -> Iterator[_Mark]:
    """Yield corners, text and colour of each box, the most important last, so that it is drawn over the others."""
    names = _names(truth)
    for indices, colour, word in ((result.true, TRUE, ""), (result.invented, INVENTED, "invented ")):
        for index in reversed(indices):
            name = truth.class_names[int(found.class_ids[index])]
            corners = [float(value) for value in found.boxes_xyxy[index]]
            yield corners, f"{word}{name} {found.scores[index]:.2f}", colour
    for box in result.missed:
        yield _corners(box), f"missed {names[box.category_id]}", MISSED


def _corners(box: Box) -> list[float]:
    left, top, width, height = box.xywh
    return [left, top, left + width, top + height]


def _names(truth: Truth) -> dict[int, str]:
    return dict(zip(truth.category_ids, truth.class_names, strict=True))


def _label_of(box: Box, names: Mapping[int, str]) -> str:
    return f"{names[box.category_id]}{' (crowd)' if box.iscrowd else ''}"


def _box(picture: np.ndarray, corners: Sequence[int], colour: Colour) -> None:
    inset = _INSETS[colour]
    left, top = max(corners[0] + inset, 0), max(corners[1] + inset, 0)
    right, bottom = min(corners[2] - inset, picture.shape[1] - 1), min(corners[3] - inset, picture.shape[0] - 1)
    right, bottom = max(left, right), max(top, bottom)
    edges = [((left, top), (right, top)), ((left, bottom), (right, bottom))]
    edges += [((left, top), (left, bottom)), ((right, top), (right, bottom))]
    for start, end in edges:  # a dark line under the coloured one, so that it is seen on any ground
        cv2.line(picture, start, end, _SHADE, 4, cv2.LINE_AA)
    for start, end in edges:
        for first, last in _dashes(start, end) if colour == MISSED else [(start, end)]:
            cv2.line(picture, first, last, colour, 2, cv2.LINE_AA)
    if colour == INVENTED and min(right - left, bottom - top) > 12:
        cv2.rectangle(picture, (left + 4, top + 4), (right - 4, bottom - 4), colour, 1)


def _dashes(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    step = (np.sign(end[0] - start[0]), np.sign(end[1] - start[1]))
    for begin in range(0, length, 2 * _DASH):
        stop = min(begin + _DASH, length)
        yield (
            (int(start[0] + step[0] * begin), int(start[1] + step[1] * begin)),
            (int(start[0] + step[0] * stop), int(start[1] + step[1] * stop)),
        )


def _label(picture: np.ndarray, text: str, corners: Sequence[int], colour: Colour, taken: Sequence[_Area]) -> _Area:
    """Write text on a ground of the box's colour, at a corner where no other label is; return where."""
    (width, height), baseline = cv2.getTextSize(_ascii(text), _FONT, _SCALE, 1)
    full = (width + 6, height + baseline + 4)
    left, top, right, bottom = corners
    corner_places = [(left, top - full[1]), (left, bottom), (right - full[0], top - full[1]), (right - full[0], bottom)]
    below = [(left, top + number * full[1]) for number in range(8)]
    areas = [_fitted(picture, place, full) for place in (*corner_places, *below)]
    area = next((area for area in areas if not any(_overlap(area, other) for other in taken)), areas[0])
    cv2.rectangle(picture, area[:2], area[2:], colour, cv2.FILLED)
    _write(picture, text, (area[0] + 3, area[1] + height + 3), _SHADE)
    return area


def _fitted(picture: np.ndarray, place: tuple[int, int], size: tuple[int, int]) -> _Area:
    left = max(min(place[0], picture.shape[1] - size[0]), 0)
    top = max(min(place[1], picture.shape[0] - size[1]), 0)
    return left, top, left + size[0], top + size[1]


def _overlap(one: _Area, other: _Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _write(picture: np.ndarray, text: str, origin: tuple[int, int], ink: Colour) -> None:
    cv2.putText(picture, _ascii(text), origin, _FONT, _SCALE, ink, 1, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """OpenCV's fonts hold ASCII only."""
    return text.encode("ascii", "replace").decode("ascii")
