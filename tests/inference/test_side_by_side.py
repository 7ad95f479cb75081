"""`doctor --compare` over the stand-in for the vendor's module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List

import cv2
import numpy as np
import pytest

from inference.__main__ import main
from tests.inference.scenes import find_white_boxes, write_scene_release, write_scenes


@pytest.fixture
def release(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A release for scenes; beside it the folder `images`, PNG and JPEG."""
    monkeypatch.setattr(sail, "compute", find_white_boxes)
    images, annotations = write_scenes(tmp_path)
    made = write_scene_release(tmp_path / "release", images, annotations)
    for number in (1, 2):
        pixels = np.zeros((127, 99, 3), np.uint8)
        pixels[11:70, 13 * number : 13 * number + 41] = 255
        assert cv2.imwrite(str(images / f"odd-{number}.jpg"), pixels)
    return made


def asked(release: Path, *more: str) -> List[str]:
    return ["doctor", "--model", str(release), "--compare", str(release.parent / "images"), *more]


def test_a_device_that_does_what_is_documented_passes(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asked(release, "--json")) == 0
    found = json.loads(capsys.readouterr().out)["comparison"]
    assert (found["chip"], found["images"], found["decoded_there"], found["skipped"]) == ("BM1684X", 8, 2, [])
    # The stand-in decodes with the same OpenCV, and scales by the model.
    assert found["decoding"] == {"mean": 0, "largest": 0}
    assert found["to_model"]["largest"] < 1e-3 and found["to_host"]["mean"] > 0.1
    # A cat in each, and a dog without extent, which overlaps nothing.
    assert (found["host_detections"], found["device_detections"], found["in_both"]) == (16, 16, 8)
    assert 0.8 < found["iou"] < 1 and found["as_documented"]
    assert found["host_ms"] > 0 and found["device_ms"] > 0 and "sail" in found["versions"]


def test_it_is_told_in_words(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (release.parent / "images" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (release.parent / "images" / "wide.png").write_bytes(
        cv2.imencode(".png", np.zeros((4, 90, 3), np.uint8))[1].tobytes()
    )
    assert main(asked(release)) == 0
    out = capsys.readouterr().out
    assert "8 images, BM1684X/centernet_int8_4b.bmodel on a BM1684X, prepared on the device:" in out
    assert "2 of 8 images; pixels 0.000 (at most 0) pixel values apart" in out
    assert "16 by the host's way, 16 by the device's, 8 in both (IoU 0." in out
    assert "skipped        cut.png: " in out and "skipped        wide.png: the image " in out
    assert "wide.png of 90 x 4 pixels becomes" in out and "furthest in " in out
    assert "does not do what" not in out


@pytest.mark.parametrize("wrong", ["arithmetic that is not done", "planes in another order", "the nearest pixel"])
def test_a_device_that_does_something_else_is_found_out(
    sail: Any, release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    for file in (release.parent / "images").iterdir():
        noise = np.random.default_rng(len(file.name)).integers(0, 256, (128, 128, 3), dtype=np.uint8)
        file.write_bytes(cv2.imencode(file.suffix, noise)[1].tobytes())
    if wrong == "arithmetic that is not done":
        monkeypatch.setattr(sail.Bmcv, "convert_to", lambda *_: 0)
    elif wrong == "planes in another order":
        whole = sail.Bmcv.mat_to_bm_image
        monkeypatch.setattr(sail.Bmcv, "mat_to_bm_image", lambda bmcv, mat: whole(bmcv, mat[:, :, ::-1]))
    else:
        monkeypatch.setitem(vars(sail), "resize_bilinear", sail.resize_nearest)
    assert main(asked(release)) == 1
    assert "The device does not do what its documentation says" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["swapped", "no number"])
def test_a_fault_that_one_image_of_forty_shows_is_found_and_that_image_named(
    sail: Any, release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    images = release.parent / "forty"
    images.mkdir()
    for number in range(40):
        gray = cv2.resize(np.array([[20, 90], [160, 240]], np.uint8), (128, 128), interpolation=cv2.INTER_LINEAR)
        pixels = np.repeat(gray[:, :, None], 3, axis=2)
        if number == 7:
            pixels[:, :, 0] = np.maximum(pixels[:, :, 0], 30) - 20
        assert cv2.imwrite(str(images / f"{number:02}.png"), pixels)
    if fault == "swapped":
        whole = sail.Bmcv.mat_to_bm_image
        monkeypatch.setattr(sail.Bmcv, "mat_to_bm_image", lambda bmcv, mat: whole(bmcv, mat[:, :, ::-1]))
    else:
        done = sail.Bmcv.convert_to

        def spoiled(bmcv: Any, placed: Any, made: Any, factors: Any) -> int:
            done(bmcv, placed, made, factors)
            if (placed.values[0] != placed.values[1]).any():
                made.values[0, 0, 0] = np.nan
            return 0

        monkeypatch.setattr(sail.Bmcv, "convert_to", spoiled)
    assert main(["doctor", "--model", str(release), "--compare", str(images), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["comparison"]
    assert not found["as_documented"] and found["worst"] == "07.png"
    assert found["worst_mean"] > 1 and (fault == "no number" or found["to_model"]["mean"] < 1)


def test_what_the_devices_decoder_does_otherwise_does_not_change_the_exit_status(
    sail: Any, release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decoded = sail.Bmcv.imdecode

    def brighter(bmcv: Any, data: bytes) -> Any:
        image = decoded(bmcv, data)
        image.values[...] = np.minimum(image.values, 200) + 50
        return image

    monkeypatch.setattr(sail.Bmcv, "imdecode", brighter)
    assert main(asked(release, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["comparison"]["decoding"]["mean"] > 10


@pytest.mark.parametrize(
    "broken, said",
    [
        ("no device", "Nothing was compared: there is no device to compare on"),
        ("no images", "Nothing was compared: there is no image, folder or video"),
        ("no model and no device", "Nothing was compared: there is no device to compare on"),
        ("no model, device and images", "Nothing was compared: there is no image, folder or video"),
        ("no device and no image of use", "Nothing was compared: none of the 1 images of"),
        ("no image of use", "Nothing was compared: none of the 1 images of"),
    ],
)
def test_what_cannot_be_compared_is_an_answer_and_exit_status_1(
    sail: Any,
    release: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: str,
    said: str,
) -> None:
    images = release.parent / "few"
    if broken in ("no device", "no model and no device"):
        images = release.parent / "images"
    if "device" in broken:
        sail.targets.clear()
        monkeypatch.setattr("inference.doctor.simulator_python", lambda: Path("python"))
    if "no image of use" in broken:
        images.mkdir()
        (images / "a.jpg").write_bytes(b"")
    model = [] if "no model" in broken else ["--model", str(release)]
    assert main(["doctor", *model, "--compare", str(images)]) == 1
    told = capsys.readouterr().out
    assert said in told and "model asked about" not in told
