from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.errors import ImageError
from inference.images import decode_image, read_header, read_image
from tests.tasks.image_files import cmyk_jpeg, flat_png, save, scene, with_exif


@pytest.fixture
def jpeg(tmp_path: Path) -> bytes:
    return save(tmp_path / "scene.jpg", scene(1)).read_bytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_pixels_are_those_of_imread(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"scene{suffix}", scene(1))
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path)))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_a_header_tells_the_size_without_decoding(tmp_path: Path, suffix: str) -> None:
    data = save(tmp_path / f"scene{suffix}", scene(1, width=90, height=70)).read_bytes()
    assert read_header(data)[:5] == ({".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP"}[suffix], 90, 70, 3, 8)


def test_real_photographs_pass(coco_mini: Path) -> None:
    for path in sorted((coco_mini / "val2017").iterdir())[:5]:
        np.testing.assert_array_equal(read_image(path), cv2.imread(str(path)))


def test_a_progressive_jpeg_with_restart_markers_is_complete(tmp_path: Path) -> None:
    path = save(tmp_path / "p.jpg", scene(1), cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
    assert read_header(path.read_bytes()).complete


def test_an_exif_orientation_is_applied_as_imread_applies_it(tmp_path: Path, jpeg: bytes) -> None:
    path = tmp_path / "rotated.jpg"
    path.write_bytes(with_exif(jpeg, orientation=6))
    image = read_image(path)
    assert image.shape == (96, 72, 3)
    np.testing.assert_array_equal(image, cv2.imread(str(path)))


def test_alpha_is_dropped(tmp_path: Path) -> None:
    colour = scene(1)
    path = save(tmp_path / "a.png", np.dstack([colour, colour[..., 0]]))
    np.testing.assert_array_equal(read_image(path), colour)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    data = save(tmp_path / f"scene{suffix}", scene(1, width=300, height=200)).read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match="cut short"):
        read_image(tmp_path / f"cut{suffix}")


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(jpeg: bytes) -> None:
    data = with_exif(jpeg, orientation=1, thumbnail=jpeg)
    assert decode_image(data).shape == (72, 96, 3)
    with pytest.raises(ImageError, match="cut short"):
        decode_image(data[:-2])


def test_bytes_after_the_end_do_no_harm(jpeg: bytes) -> None:
    np.testing.assert_array_equal(decode_image(jpeg + b"\0" * 100), decode_image(jpeg))


def test_a_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(flat_png(12_000, 12_000))
    assert path.stat().st_size < 30_000
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="12000 x 12000") as caught:
        read_image(path)
    assert caught.value.path == path


def test_the_limit_of_pixels_is_inclusive() -> None:
    assert decode_image(flat_png(20, 10), max_pixels=200).shape == (10, 20, 3)
    with pytest.raises(ImageError, match="200"):
        decode_image(flat_png(67, 3), max_pixels=200)


def test_many_fill_bytes_take_no_quadratic_time() -> None:
    with pytest.raises(ImageError, match="no frame header"):
        read_header(b"\xff\xd8" + b"\xff" * 3_000_000 + b"\0")


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a...", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"\xff\xd8\xff\xd9", b"BM" + b"\0" * 60],
    ids=["empty", "gif", "jpeg start", "png start", "bmp start", "jpeg without frame", "bmp of zeros"],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode_image(data)


def test_an_empty_file_is_told_as_such_with_what_to_do() -> None:
    with pytest.raises(ImageError, match=r"is empty: it has no bytes\. Copy or download it again"):
        read_header(b"")


def test_random_damage_gives_an_image_or_an_image_error(jpeg: bytes) -> None:
    rng = np.random.default_rng(0)
    sources = [jpeg, flat_png(64, 64), cmyk_jpeg()]
    for number in range(300):
        data = bytearray(sources[number % len(sources)])
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            assert decode_image(bytes(data)).dtype == np.uint8
        except ImageError:
            continue


@pytest.mark.parametrize("name", ["missing.jpg", "nul\0.jpg", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError):
        read_image(tmp_path / name)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "pipe.jpg")
