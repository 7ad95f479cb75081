"""Which image files the device decodes, over the stand-in for the vendor's module; the host has all others."""

from __future__ import annotations

import logging
import struct
import threading
from pathlib import Path
from typing import Any, Callable, List

import cv2
import numpy as np
import pytest

from inference import Detector
from inference.__main__ import main
from inference.bmcv.feed import is_plain
from inference.errors import EngineError, ImageError
from inference.images import decode_image
from inference.jpeg import read_jpeg_header
from inference.validate import ValidationReport
from tests.inference.bmcv.test_device import pictures, released
from tests.inference.scenes import find_white_boxes, write_scene_release, write_scenes


def jpeg(image: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(".jpg", image, list(options))[1].tobytes()


def after_start(data: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with another segment at its beginning."""
    return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + data[2:]


def with_orientation(data: bytes, value: int, order: str) -> bytes:
    """A JPEG with an EXIF segment of just this entry."""
    mark = b"II" if order == "<" else b"MM"
    tiff = mark + struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, value, 0, 0)
    return after_start(data, 0xE1, b"Exif\0\0" + tiff)


def adobe(data: bytes, transform: int) -> bytes:
    """A JPEG with Adobe's marker."""
    return after_start(data, 0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform))


def framed(data: bytes, code: int = 0xC0, bits: int = 8) -> bytes:
    """A JPEG whose frame header says another coding, or other samples."""
    start = data.index(b"\xff\xc0")
    return data[: start + 1] + bytes([code]) + data[start + 2 : start + 4] + bytes([bits]) + data[start + 5 :]


def named(data: bytes, ids: bytes) -> bytes:
    """A JPEG, not in JFIF, whose three components have these identifiers."""
    changed = bytearray(data.replace(b"JFIF\0", b"none\0", 1))
    frame, scan = data.index(b"\xff\xc0") + 10, data.index(b"\xff\xda") + 5
    changed[frame : frame + 9 : 3] = changed[scan : scan + 6 : 2] = ids
    return bytes(changed)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value, on_device", [(1, True), (6, False)])
def test_a_photograph_that_is_shown_turned_is_decoded_on_the_host(
    sail: Any, tmp_path: Path, value: int, on_device: bool, order: str
) -> None:
    data = with_orientation(jpeg(pictures(1)[0]), value, order)
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        picture = detect.decode(data, Path("turned.jpg"))
    assert picture.shape[:2] == ((60, 100) if on_device else (100, 60))
    assert isinstance(picture, np.ndarray) is not on_device


@pytest.mark.parametrize(
    "made",
    [
        jpeg,
        lambda image: jpeg(image, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422),
        lambda image: jpeg(image, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        lambda image: adobe(jpeg(image), 1),
        lambda image: framed(jpeg(image), 0xC1),
        lambda image: named(jpeg(image), bytes([0, 1, 2])),
    ],
    ids=["4:2:0", "4:2:2", "4:4:4", "Adobe's YCbCr", "extended of 8 bits", "counted from 0"],
)
def test_plain_jpeg_files_are_decoded_on_the_device(
    sail: Any, tmp_path: Path, made: Callable[[np.ndarray], bytes]
) -> None:
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        assert not isinstance(detect.decode(made(pictures(1)[0]), Path("a.jpg")), np.ndarray)
    assert len(sail.decoded) == 1


@pytest.mark.parametrize(
    "made",
    [
        lambda image: jpeg(image, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        lambda image: jpeg(image[:, :, 0]),
        lambda image: jpeg(image, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440),
        lambda image: jpeg(image, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
        lambda image: adobe(jpeg(image), 0),
        lambda image: named(jpeg(image), b"RGB"),
    ],
    ids=["progressive", "gray", "4:4:0", "4:1:1", "Adobe's RGB", "components R, G and B"],
)
def test_other_jpeg_files_are_decoded_on_the_host(
    sail: Any, tmp_path: Path, made: Callable[[np.ndarray], bytes]
) -> None:
    data = made(pictures(1)[0])
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        np.testing.assert_array_equal(detect.decode(data, Path("a.jpg")), decode_image(data))
    assert sail.decoded == []


def test_a_scan_for_each_component_is_not_plain() -> None:
    header = read_jpeg_header(jpeg(pictures(1)[0]))
    assert is_plain(header) and not is_plain(header._replace(scans=3))


@pytest.mark.parametrize("code, bits", [(0xC2, 8), (0xC3, 8), (0xC5, 8), (0xC9, 8), (0xC1, 12)])
def test_a_coding_that_not_even_the_host_need_know_never_reaches_the_device(code: int, bits: int) -> None:
    header = read_jpeg_header(framed(jpeg(pictures(1)[0]), code, bits))
    assert (header.frame, header.bits) == (code, bits) and not is_plain(header)


def test_what_the_devices_decoder_refuses_is_decoded_on_the_host_and_said_once(
    sail: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = jpeg(pictures(1)[0])
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        sail.broken["imdecode"] = sail.SailBMImageError("Bmcv imdecode() failed!")
        for name in ("a.jpg", "b.jpg"):
            np.testing.assert_array_equal(detect.decode(data, Path(name)), decode_image(data))
        del sail.broken["imdecode"]
        assert not isinstance(detect.decode(data, Path("c.jpg")), np.ndarray)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1 and "does not take a.jpg (Bmcv imdecode() failed!)" in said[0]


def test_an_image_that_the_device_makes_another_size_of_is_decoded_on_the_host(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = jpeg(pictures(1)[0])
    monkeypatch.setattr(sail.BMImage, "height", lambda image: 8)
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        np.testing.assert_array_equal(detect.decode(data, Path("a.jpg")), decode_image(data))
    assert "it makes 100 x 8 pixels of 100 x 60" in caplog.text


def test_one_file_that_neither_decodes_is_skipped_in_a_stream(sail: Any, tmp_path: Path, threads_end: None) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    good = jpeg(pictures(1)[0])
    # Tables that no decoder knows, in a file whose header is right and whose end is there.
    bad = good[: good.index(b"\xff\xc4")] + good[good.index(b"\xff\xda") :]
    bad = bad[: bad.index(b"\xff\xda") + 5] + b"\x09" + bad[bad.index(b"\xff\xda") + 6 :]
    for name, data in (("0.jpg", good), ("1.jpg", bad), ("2.jpg", good)):
        (folder / name).write_bytes(data)
    problems: List[ImageError] = []
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        names = [result.name for result in detect.stream(folder, on_unreadable=problems.append)]
    assert names == ["0.jpg", "2.jpg"]
    assert len(problems) == 1 and "1.jpg looks like JPEG but cannot be decoded" in str(problems[0])


def test_a_device_that_does_not_answer_is_no_image_that_it_refuses(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = threading.Event()
    monkeypatch.setattr("inference.bmcv.device.ANSWER_S", 0.2)
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        monkeypatch.setattr(sail.Bmcv, "imdecode", lambda bmcv, data: free.wait(60))
        with pytest.raises(EngineError, match="has not answered"):
            detect.decode(jpeg(pictures(1)[0]), Path("a.jpg"))
        free.set()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_unsuitable_size_is_refused_by_the_header_with_the_files_name(
    sail: Any, tmp_path: Path, suffix: str
) -> None:
    data = cv2.imencode(suffix, np.zeros((4, 90, 3), np.uint8))[1].tobytes()
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        with pytest.raises(ImageError, match=f"the image .*wide{suffix} of 90 x 4 pixels becomes"):
            detect.decode(data, tmp_path / f"wide{suffix}")
    assert sail.decoded == []


def test_an_unsuitable_size_does_not_end_a_validation(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sail, "compute", find_white_boxes)
    images, annotations = write_scenes(tmp_path)
    release = write_scene_release(tmp_path / "release", images, annotations)
    assert cv2.imwrite(str(images / "scene-3.png"), np.zeros((4, 90, 3), np.uint8))
    file = tmp_path / "report.json"
    asked = ["validate", "--model", release, "--images", images, "--annotations", annotations, "--report", file]
    assert main([*map(str, asked), "--preprocess", "bmcv"]) == 1
    report = ValidationReport.model_validate_json(file.read_bytes())
    assert report.unreadable == ("scene-3.png",) and report.protocol.images == 5
    assert "1 images could not be read or prepared: scene-3.png" in capsys.readouterr().err
