from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.errors import BadImage
from tasks.images import is_grayscale, read_image
from tests.tasks.image_files import cmyk_jpeg, flat_png, save, scene


def test_a_photograph_has_the_pixels_of_imread(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", scene(1))
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path)))


def write_no_image(path: Path) -> None:
    path.write_text("not an image")


def write_cmyk(path: Path) -> None:
    path.write_bytes(cmyk_jpeg(64))
    assert cv2.imread(str(path)) is not None  # the device would take it


def write_16_bit(path: Path) -> None:
    save(path.with_suffix(".png"), scene(1).astype(np.uint16) * 257).rename(path)


def write_one_pixel(path: Path) -> None:
    save(path, np.zeros((1, 1, 3), np.uint8))


def write_cut_short(path: Path) -> None:
    path.write_bytes(save(path, scene(1)).read_bytes()[:-200])


def write_bomb(path: Path) -> None:
    path.write_bytes(flat_png(12_000, 12_000))


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_no_image, "unreadable"),
        (write_cut_short, "unreadable"),
        (write_bomb, "unreadable"),
        (write_cmyk, "CMYK"),
        (write_16_bit, "16-bit"),
        (write_one_pixel, "tiny"),
    ],
)
def test_a_bad_image_is_refused_with_its_reason(tmp_path: Path, write, reason: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "bad.jpg"
    write(path)
    with pytest.raises(BadImage, match=r"bad\.jpg") as caught:
        read_image(path)
    assert (caught.value.name, caught.value.reason) == ("bad.jpg", reason)


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="no such file"):
        read_image(tmp_path / "gone.jpg")


def test_the_shortest_side_decides_what_is_tiny(tmp_path: Path) -> None:
    path = save(tmp_path / "thin.png", scene(1, width=200, height=63))
    with pytest.raises(BadImage, match="200 x 63"):
        read_image(path)
    assert read_image(path, min_side=63).shape == (63, 200, 3)


@pytest.mark.parametrize(
    ("name", "gray"),
    [
        ("train2017/000000000086.jpg", True),  # one channel
        ("train2017/000000000328.jpg", True),  # three equal channels
        ("train2017/000000000359.jpg", True),  # black and white, faintly toned
        ("val2017_unlabelled/000000304545.jpg", False),  # a gray suitcase on white, in colour
        ("train2017/000000000009.jpg", False),
    ],
)
def test_grayscale_photographs_are_told_from_pale_ones(coco_mini: Path, name: str, gray: bool) -> None:
    assert is_grayscale(read_image(coco_mini / name)) is gray


def test_a_small_coloured_thing_makes_a_colour_image() -> None:
    image = np.full((100, 100, 3), 128, np.uint8)
    image[:10, :10] = (0, 0, 255)
    assert not is_grayscale(image)
    image[:10, :10] = (140, 128, 128)
    assert is_grayscale(image)
