"""Where BMCV puts an image, which it takes, and the way back."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from inference.bmcv.geometry import (
    Placement,
    affine_from_output,
    check_image,
    check_spec,
    place,
    scales_and_biases,
)
from inference.bmcv.modelled import place_like_bmcv
from inference.errors import ImageError, OptionError
from inference.preprocess import affine_from_output as affine_of_the_host

SPEC = PreprocessSpec()


@pytest.mark.parametrize(
    "size, placed",
    [
        ((480, 640), Placement(0, 64, 512, 384)),
        ((640, 480), Placement(64, 0, 384, 512)),
        ((512, 512), Placement(0, 0, 512, 512)),
        ((427, 640), Placement(0, 85, 512, 342)),  # 341.6 rows; the odd one goes below
        ((1080, 1920), Placement(0, 112, 512, 288)),
        ((3, 1024), Placement(0, 255, 512, 2)),  # 1.5 rows
        ((1, 4096), Placement(0, 255, 512, 1)),  # an eighth of a row
    ],
)
def test_the_longer_side_fills_the_input_and_the_rest_is_padding(size: Tuple[int, int], placed: Placement) -> None:
    assert place(size, SPEC) == placed


@pytest.mark.parametrize(
    "size, off",
    [
        ((480, 640), 0.125),
        ((960, 1280), 0.75),
        ((2000, 1500), 1.453),
        ((100, 90), 0.402),
        ((333, 500), 0.483),  # 171 rows of padding: half a row more below than above
    ],
)
def test_a_box_comes_back_to_where_it_was_which_it_would_not_by_the_hosts_map(
    size: Tuple[int, int], off: float
) -> None:
    """By what the model shows: the middle of a soft spot, as the network sees it, against where it was drawn."""
    drawn = np.array([0.3 * size[1], 0.6 * size[0]])
    rows, columns = np.indices(size)
    spot = 255 * np.exp(-((columns - drawn[0]) ** 2 + (rows - drawn[1]) ** 2) / (2 * (min(size) / 16) ** 2))
    image = np.repeat(np.rint(spot).astype(np.uint8)[:, :, None], 3, axis=2)
    seen = place_like_bmcv(image, SPEC)[:, :, 0].astype(np.float64)
    middle = [(seen.sum(axis=axis) * np.arange(512)).sum() / seen.sum() / 4 for axis in (0, 1)]
    assert np.abs(affine_from_output(size, SPEC) @ [*middle, 1] - drawn).max() < 0.02
    wrong = np.abs(affine_of_the_host(size, SPEC) @ [*middle, 1] - drawn).max()
    assert wrong == pytest.approx(off, abs=0.02)


def test_where_nothing_is_scaled_both_ways_back_are_one() -> None:
    np.testing.assert_allclose(affine_from_output((512, 384), SPEC), affine_of_the_host((512, 384), SPEC), atol=1e-9)


def test_an_input_that_is_not_square_is_for_the_host() -> None:
    check_spec(SPEC)
    with pytest.raises(OptionError, match="640 x 384"):
        check_spec(PreprocessSpec(width=640, height=384))


@pytest.mark.parametrize(
    "size, chip, problem",
    [
        ((480, 640), "BM1684", None),
        ((12, 12), "BM1684", "16 to 4096"),
        ((12, 12), "BM1688", "16 to 4096"),
        ((12, 12), "BM1684X", None),
        ((5000, 5000), "BM1684", "16 to 4096"),
        ((5000, 5000), "BM1684X", None),
        ((8200, 8200), "BM1684X", "8 to 8192"),
        ((9, 1000), "BM1684X", "becomes one of 512 x 5"),
        ((20, 1000), "BM1684", "becomes one of 512 x 10"),
    ],
)
def test_images_that_the_chip_does_not_take_are_refused(size: Tuple[int, int], chip: str, problem: str) -> None:
    if problem is None:
        check_image(size, SPEC, chip)
    else:
        with pytest.raises(ImageError, match=problem):
            check_image(size, SPEC, chip)


def test_more_padding_than_the_vpp_makes_is_refused() -> None:
    large = PreprocessSpec(width=1024, height=1024)
    check_image((1030, 2048), large, "BM1684X")
    with pytest.raises(ImageError, match="pads by up to 255"):
        check_image((1020, 2048), large, "BM1684X")


def test_the_arithmetic_is_the_specs_in_its_own_order() -> None:
    spec = PreprocessSpec(channel_order="RGB", mean=(0.5, 0.25, 0.125), std=(0.5, 0.25, 1.0))
    assert scales_and_biases(spec) == ((2 / 255, -1.0), (4 / 255, -1.0), (1 / 255, -0.125))
    assert scales_and_biases(PreprocessSpec(fused=True)) == ((1.0, 0.0),) * 3
