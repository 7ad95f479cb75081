"""The shapes, surfaces and camera of the generated scenes.

Whatever touches pixels is integer arithmetic or OpenCV's fixed-point drawing, so that a scene has the same bytes
wherever it is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Polygon = NDArray[np.float64]
Colour = NDArray[np.int64]
Plane = NDArray[np.uint16]

DIAMETER_RANGE = (26, 140)
MAX_SHARE_OF_SIDE = 0.62
STRETCH_RANGE = (0.85, 1.15)
RING_HOLE = 0.52
MIN_CONTRAST = 90
BLURRED_SHARE = 0.4


def _regular(corners: int) -> Polygon:
    turn = np.arange(corners) * (2 * math.pi / corners) - math.pi / 2
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def _star() -> Polygon:
    return _regular(10) * np.where(np.arange(10) % 2 == 0, 1.0, 0.42)[:, None]


def _cross() -> Polygon:
    arm = 0.3
    quarter = np.array([(arm, -1), (arm, -arm), (1, -arm)])
    return np.concatenate([_turned(quarter, turn * math.pi / 2) for turn in range(4)])


def _turned(outline: Polygon, radians: float) -> Polygon:
    cosine, sine = math.cos(radians), math.sin(radians)
    x, y = outline[:, 0], outline[:, 1]
    return np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1)


OUTLINES: dict[str, Callable[[], Polygon]] = {
    "disc": lambda: _regular(64),
    "ring": lambda: _regular(64),
    "square": lambda: np.array([(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]),
    "triangle": lambda: _regular(3),
    "cross": _cross,
    "star": _star,
    "hexagon": lambda: _regular(6),
    "diamond": lambda: np.array([(0, -1), (0.62, 0), (0, 1), (-0.62, 0)]),
}

# Degrees either way; wider turns would make a square of a diamond and the other way round.
TURNS = {"square": 20, "diamond": 20, "triangle": 60, "cross": 22, "star": 36, "hexagon": 30, "disc": 45, "ring": 45}


def place_shape(rng: np.random.Generator, shape: str, height: int, width: int) -> tuple[int, Mask]:
    """Puts a shape somewhere, possibly over the edge.

    Args:
        rng: chooses size, stretch, turn and place.
        shape: key of `OUTLINES`.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        Area of the whole shape in pixels, and what of it falls inside the image, bool [height, width].
    """
    limit = min(DIAMETER_RANGE[1], int(MAX_SHARE_OF_SIDE * min(height, width)))
    radius = float(rng.uniform(DIAMETER_RANGE[0], limit)) / 2
    stretch = float(rng.uniform(*STRETCH_RANGE))
    radians = math.radians(float(rng.uniform(-TURNS[shape], TURNS[shape])))
    inset = 0.6 * radius
    centre = np.array([rng.uniform(inset, width - inset), rng.uniform(inset, height - inset)])
    outline = _turned(OUTLINES[shape]() * [stretch, 1 / stretch], radians) * radius
    contours = [outline, outline * RING_HOLE] if shape == "ring" else [outline]
    margin = DIAMETER_RANGE[1]
    plane = np.zeros((height + 2 * margin, width + 2 * margin), np.uint8)
    # Two contours in one call leave the inner one empty (even-odd rule), which is what makes the ring.
    cv2.fillPoly(plane, [np.rint(contour + centre + margin).astype(np.int32) for contour in contours], [1])
    return int(np.count_nonzero(plane)), plane[margin : margin + height, margin : margin + width].astype(np.bool_)


def _contrasting(rng: np.random.Generator, base: Colour) -> Colour:
    while True:
        colour = rng.integers(0, 256, 3)
        if int(np.abs(colour - base).max()) >= MIN_CONTRAST:
            return colour


def _blend(first: Colour, second: Colour, weight: Plane) -> Image:
    """Mixes two colours by a weight of 0 to 255 per pixel; 255 * 255 fits 16 bits, so every machine rounds alike."""
    heavy, light = first.astype(np.uint16), second.astype(np.uint16)
    layers = [(heavy[c] * (255 - weight) + light[c] * weight) // 255 for c in range(3)]
    return np.asarray(cv2.merge([layer.astype(np.uint8) for layer in layers]), np.uint8)


def _ramp(rng: np.random.Generator, height: int, width: int) -> Plane:
    across, down = (int(step) for step in rng.integers(-8, 9, 2))
    plane = across * np.arange(width, dtype=np.int32)[None, :] + down * np.arange(height, dtype=np.int32)[:, None]
    plane -= plane.min()
    return np.asarray(plane * 255 // max(1, int(plane.max())), np.uint16)


def _bands(rng: np.random.Generator, length: int, period: int) -> Plane:
    return np.asarray((np.arange(length) + int(rng.integers(period))) // (period // 2) % 2, np.uint16)


def fill(rng: np.random.Generator, height: int, width: int, base: Colour) -> Image:
    """A surface that stands out: flat, striped, checked, graded or speckled.

    Args:
        rng: chooses kind, colours and pattern.
        height: of the surface, in pixels.
        width: of the surface, in pixels.
        base: background colour, B, G, R, which both colours of the surface keep away from.

    Returns:
        uint8 [height, width, 3], channels B, G, R.
    """
    first, second = _contrasting(rng, base), _contrasting(rng, base)
    kind = ("flat", "stripes", "checks", "ramp", "speckle")[int(rng.integers(5))]
    period = int(rng.integers(6, 20))
    rows, columns = _bands(rng, height, period)[:, None], _bands(rng, width, period)[None, :]
    weight = np.zeros((height, width), np.uint16)
    if kind == "stripes":
        weight += (rows if rng.integers(2) else columns) * np.uint16(255)
    elif kind == "checks":
        weight += (rows ^ columns) * np.uint16(255)
    elif kind == "ramp":
        weight = _ramp(rng, height, width)
    elif kind == "speckle":
        weight = _speckle(rng, height, width, 3).astype(np.uint16)
    return _blend(first, second, weight)


def _speckle(rng: np.random.Generator, height: int, width: int, grain: int) -> Image:
    coarse = rng.integers(0, 256, (height // grain + 2, width // grain + 2), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)


def background(rng: np.random.Generator, height: int, width: int, base: Colour) -> Image:
    """Two nearby colours over a ramp, with cloudy noise and thin clutter lines.

    Args:
        rng: chooses everything but the base colour.
        height: of the image, in pixels.
        width: of the image, in pixels.
        base: colour, B, G, R.

    Returns:
        uint8 [height, width, 3], channels B, G, R.
    """
    other = np.clip(base + rng.integers(-45, 46, 3), 0, 255)
    canvas = _blend(base, other, _ramp(rng, height, width))
    clouds = _speckle(rng, height, width, int(rng.integers(4, 40))).astype(np.int16) - 128
    clouds = clouds * int(rng.integers(0, 40)) // 128
    painted = np.asarray(cv2.add(canvas, cv2.merge([clouds] * 3), dtype=cv2.CV_8U), np.uint8)
    for _ in range(int(rng.integers(0, 8))):
        ends = rng.integers(0, [width, height], (2, 2))
        colour = [int(c) for c in rng.integers(0, 256, 3)]
        cv2.line(painted, [int(v) for v in ends[0]], [int(v) for v in ends[1]], colour, int(rng.integers(1, 3)))
    return painted


def camera(rng: np.random.Generator, canvas: Image) -> Image:
    """What a camera adds: mild blur, contrast, brightness and sensor noise.

    Args:
        rng: chooses how much of each.
        canvas: uint8 [H, W, 3].

    Returns:
        uint8 [H, W, 3].
    """
    if rng.random() < BLURRED_SHARE:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (3, 3), 0), np.uint8)
    gain, lift = int(rng.integers(180, 290)), int(rng.integers(-20, 21))
    level = int(rng.integers(1, 8))
    contrasted = np.clip((np.arange(256) - 128) * gain // 256 + 128 + lift, 0, 255).astype(np.uint8)
    noise = rng.integers(-level, level + 1, canvas.shape, dtype=np.int8)
    return np.asarray(cv2.add(cv2.LUT(canvas, contrasted), noise.astype(np.int16), dtype=cv2.CV_8U), np.uint8)
