"""What holds of the way from an image to its boxes, whatever the sizes."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from artifacts.release import PreprocessSpec
from inference.decode import decode
from inference.errors import ImageError
from inference.images import read_header
from inference.preprocess import affine_from_output, affine_to_input, output_size, preprocess

SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
INPUTS = st.integers(1, 64).map(lambda cells: 4 * cells)
SHARE = st.floats(0, 1)


@given(SIZES, INPUTS, INPUTS, SHARE, SHARE)
def test_a_point_comes_back_from_the_letterbox(
    size: Tuple[int, int], width: int, height: int, x: float, y: float
) -> None:
    spec = PreprocessSpec(width=width, height=height)
    point = np.array([x * size[1], y * size[0], 1.0])
    there = affine_to_input(size, spec) @ point
    back = affine_from_output(size, spec) @ [*(there / 4), 1.0]
    # The maps are solved in float32 points: a cell is up to max(size) / (width / 4) pixels.
    assert np.abs(back - point[:2]).max() <= 1e-3 * max(1.0, max(size) / width)


@given(SIZES, INPUTS)
def test_a_square_input_holds_the_whole_image(size: Tuple[int, int], side: int) -> None:
    spec = PreprocessSpec(width=side, height=side)
    corners = np.array([[0, 0, 1], [size[1], size[0], 1], [size[1], 0, 1], [0, size[0], 1]], float)
    there = corners @ affine_to_input(size, spec).T
    assert there.min() >= -1e-3 * side and there.max() <= side * (1 + 1e-3)


@given(st.integers(1, 40), st.integers(1, 40), INPUTS, st.booleans())
def test_every_size_of_image_gives_the_tensor_of_the_spec(height: int, width: int, side: int, fused: bool) -> None:
    spec = PreprocessSpec(width=side, height=side, fused=fused)
    image = np.full((height, width, 3), 7, np.uint8)
    tensor = preprocess(image, spec)
    assert tensor.shape == (3, side, side) and tensor.dtype == spec.dtype
    assert np.isfinite(tensor).all()


def _naive(heads: np.ndarray, conf: float, top_k: int) -> List[Tuple[float, int, int, int]]:
    """Scores, classes and cells by plain loops: a cell that none of its eight neighbours exceeds, best first."""
    classes, height, width = heads.shape[0] - 4, heads.shape[1], heads.shape[2]
    scores = (1 / (1 + np.exp(-heads[:classes].astype(np.float32)))).astype(np.float32)
    found = []
    for kind in range(classes):
        for row in range(height):
            for column in range(width):
                around = scores[kind, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
                if scores[kind, row, column] == around.max():
                    found.append((-float(scores[kind, row, column]), kind, row, column))
    return [(-score, kind, row, column) for score, kind, row, column in sorted(found)[:top_k] if -score >= conf]


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 30), SHARE)
def test_decoding_gives_what_plain_loops_give(
    seed: int, classes: int, height: int, width: int, top_k: int, conf: float
) -> None:
    rng = np.random.default_rng(seed)
    heads = rng.normal(0, 3, (1, classes + 4, height, width)).astype(np.float32)
    size = (height * 4, width * 4)
    spec = PreprocessSpec(width=4 * width, height=4 * height)
    [found] = decode(heads, [size], spec=spec, conf=conf, top_k=top_k)
    wanted = _naive(heads[0], conf, top_k)
    np.testing.assert_allclose(found.scores, [one[0] for one in wanted], rtol=1e-5)
    assert list(found.class_ids) == [one[1] for one in wanted]
    assert output_size(spec) == (height, width)
    matrix = affine_from_output(size, spec)
    for box, (_, _, row, column) in zip(found.boxes_xyxy, wanted):
        box_w, box_h, dx, dy = heads[0, classes:, row, column].astype(np.float64)
        x, y = column + dx, row + dy
        corners = [(x - box_w / 2, y - box_h / 2, 1), (x + box_w / 2, y + box_h / 2, 1)]
        np.testing.assert_allclose(box, np.concatenate([matrix @ corner for corner in corners]), atol=1e-2, rtol=1e-4)


@given(st.binary(max_size=80), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", b"BM", b""]))
def test_any_bytes_have_a_header_or_an_image_error(data: bytes, start: bytes) -> None:
    try:
        header = read_header(start + data)
    except ImageError:
        return
    assert header.bits >= 8 and header.channels in range(256)
