"""One picture of many images, to see at a glance what a model was calibrated on."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from tasks.errors import BadImage
from tasks.images import read_image
from tasks.report.jpeg import encode

_GAP = 4
_LINE = 12
_MARGIN = 2
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.32
_PAPER = (32, 32, 32)
_INK = (235, 235, 235)

MAX_IMAGES = 400
"""More are left out: a sheet is for looking at, and JPEG ends at 65 535 pixels."""

MAX_BYTES = 1_500_000
"""What a sheet should not exceed; the quality is lowered for it."""


def contact_sheet(images: Iterable[tuple[str, Path]], *, columns: int = 16, thumb: int = 112) -> bytes:
    """Draw images in rows, each over its label.

    Args:
        images: (label, file) in the order to show, of which the first 400 are shown. Each line of a label is cut at
            the width of its picture. A file that cannot be read is an empty frame, so that the rest can be seen.
        columns: Pictures in a row.
        thumb: Side of the square that each picture is fitted into, in pixels.

    Returns:
        A JPEG file; the same images give the same bytes (with one version of OpenCV). No images give one empty frame.

    Raises:
        ValueError: There is less than one column, or a picture is smaller than 16 pixels.
    """
    if columns < 1 or thumb < 16:
        raise ValueError(f"columns must be at least 1 and thumb at least 16, not {columns} and {thumb}")
    entries: list[tuple[str, Path | None]] = [*islice(images, MAX_IMAGES)] or [("", None)]
    lines = max(len(label.splitlines()) for label, _ in entries)
    tile_height = thumb + lines * _LINE + _GAP
    rows = -(-len(entries) // columns)
    columns = min(columns, len(entries))
    sheet = np.full((rows * tile_height + _GAP, columns * (thumb + _GAP) + _GAP, 3), _PAPER, dtype=np.uint8)
    for position, (label, path) in enumerate(entries):
        top = _GAP + position // columns * tile_height
        left = _GAP + position % columns * (thumb + _GAP)
        sheet[top : top + tile_height - _GAP, left : left + thumb] = _tile(label, path, thumb, tile_height - _GAP)
    return encode(sheet, MAX_BYTES)


def _tile(label: str, path: Path | None, thumb: int, height: int) -> np.ndarray:
    tile = np.full((height, thumb, 3), _PAPER, dtype=np.uint8)
    picture = _thumbnail(path, thumb)
    if picture is None:
        cv2.rectangle(tile, (0, 0), (thumb - 1, thumb - 1), _INK, 1)
    else:
        top, left = (thumb - picture.shape[0]) // 2, (thumb - picture.shape[1]) // 2
        tile[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    for number, line in enumerate(label.splitlines(), start=1):
        baseline = thumb + number * _LINE - 3
        text = line.encode("ascii", "replace").decode("ascii")  # OpenCV's fonts have no more
        cv2.putText(tile, text, (_MARGIN, baseline), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
    return tile


def _thumbnail(path: Path | None, side: int) -> np.ndarray | None:
    if path is None:
        return None
    try:
        image = read_image(path, min_side=1)
    except BadImage:
        return None
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
