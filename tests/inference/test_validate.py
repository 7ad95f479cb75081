"""`validate` over a whole release, a data set of its own, and a network that finds what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Tuple

import cv2
import numpy as np
import pytest

from inference.__main__ import main
from inference.validate import ValidationReport
from tests.inference.scenes import VARIANT, find_white_boxes, write_scene_release, write_scenes

Scenes = Tuple[Path, Path, Path]


@pytest.fixture
def scenes(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scenes:
    """Release, image folder and annotations; the engine finds the boxes."""
    monkeypatch.setattr(sail, "compute", find_white_boxes)
    images, annotations = write_scenes(tmp_path)
    return write_scene_release(tmp_path / "release", images, annotations), images, annotations


def arguments(scenes: Scenes, *more: str) -> list:  # type: ignore[type-arg]
    release, images, annotations = map(str, scenes)
    return ["validate", "--model", release, "--images", images, "--annotations", annotations, *more]


def report_of(scenes: Scenes, tmp_path: Path, *more: str, status: int = 0) -> ValidationReport:
    file = tmp_path / "report.json"
    assert main(arguments(scenes, "--report", str(file), *more)) == status
    return ValidationReport.model_validate_json(file.read_bytes())


def test_accuracy_on_the_releases_own_data_set_is_compared_with_its_record(scenes: Scenes, tmp_path: Path) -> None:
    report = report_of(scenes, tmp_path)
    assert (report.ap50, report.protocol.images, report.unreadable) == (pytest.approx(1), 6, ())
    assert 0.6 < (report.ap or 0) <= 1
    # Boxes of 40 x 32: all of them are cats of medium size.
    assert report.by_class == {"traffic light": None, "cat": report.ap} and report.ap75 is not None
    assert report.by_size == {"small": None, "medium": report.ap, "large": None}
    assert (report.protocol.score_floor, report.protocol.top_k) == (0.01, 50)
    assert report.comparable
    assert report.comparison == f"AP {(report.ap or 0) - 0.9:+.4f} against the 0.9000 that the release records"


def test_the_report_says_what_it_was_made_with(sail: Any, scenes: Scenes, tmp_path: Path) -> None:
    report = report_of(scenes, tmp_path)
    setting = report.setting
    assert (setting.engine, setting.chip, setting.device) == ("sail", "BM1684X", 0)
    assert (setting.release, setting.version, setting.variant) == ("tiny", "1", VARIANT.path)
    record = json.loads((scenes[0] / "release.json").read_bytes())
    assert setting.model_digest == record["variants"][0]["blob"]["digest"]
    assert {"python", "numpy", "opencv", "sail"} <= set(setting.versions)
    assert set(report.stages) == {"read", "preprocess", "infer", "decode", "total"}
    assert min(one.median_ms for one in report.stages.values()) > 0 and report.images_per_second > 0
    # Two calls of a model of four: the second one with two images.
    assert [len(call["image"]) for call in sail.calls] == [4, 4]


def test_another_data_set_is_not_compared(scenes: Scenes, tmp_path: Path) -> None:
    report = report_of(scenes, tmp_path, "--limit", "5")
    assert (report.protocol.images, report.comparable) == (5, False)
    assert report.comparison.startswith(
        "not to be compared with the release's numbers: it was measured on another data"
    )
    document = json.loads(scenes[2].read_bytes())
    scenes[2].write_text(json.dumps(document, indent=1))
    assert not report_of(scenes, tmp_path).comparable


def test_a_release_without_a_record_is_not_compared(scenes: Scenes, tmp_path: Path) -> None:
    record = json.loads((scenes[0] / "release.json").read_bytes())
    record["variants"][0]["accuracy"] = record["protocol"] = None
    (scenes[0] / "release.json").write_text(json.dumps(record))
    report = report_of(scenes, tmp_path)
    assert (report.comparable, report.recorded) == (False, None)
    assert "it records none for this model" in report.comparison
    assert (report.protocol.score_floor, report.protocol.top_k) == (0.001, 100)


def test_numbers_of_the_vendors_protocol_are_not_compared_with_those_of_another(scenes: Scenes, tmp_path: Path) -> None:
    detections = tmp_path / "detections.json"
    report = report_of(scenes, tmp_path, "--protocol", "sophon-demo", "--detections", str(detections))
    protocol = report.protocol
    assert (protocol.name, protocol.score_floor, protocol.top_k) == ("sophon-demo", 0.0, 75)
    assert not report.comparable and "it was measured by coco" in report.comparison
    boxes = [entry["bbox"] for entry in json.loads(detections.read_bytes())]
    assert boxes and all(side == int(side) for box in boxes for side in box)


def test_a_release_measured_by_the_vendors_protocol_is_measured_by_it_again(scenes: Scenes, tmp_path: Path) -> None:
    record = json.loads((scenes[0] / "release.json").read_bytes())
    record["protocol"].update(name="sophon-demo", score_floor=0.3, top_k=10)
    (scenes[0] / "release.json").write_text(json.dumps(record))
    report = report_of(scenes, tmp_path)
    assert (report.protocol.name, report.protocol.score_floor, report.protocol.top_k) == ("sophon-demo", 0.3, 10)
    assert report.comparable
    assert not report_of(scenes, tmp_path, "--protocol", "coco").comparable


def test_unreadable_images_are_counted_named_and_left_out(
    scenes: Scenes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scenes[1] / "scene-2.png").unlink()
    data = (scenes[1] / "scene-5.png").read_bytes()
    (scenes[1] / "scene-5.png").write_bytes(data[:-20])
    report = report_of(scenes, tmp_path, status=1)
    assert report.unreadable == ("scene-2.png", "scene-5.png")
    assert (report.protocol.images, report.ap50, report.comparable) == (4, pytest.approx(1), False)
    assert "2 images could not be read or prepared: scene-2.png, scene-5.png" in capsys.readouterr().err


def test_an_image_that_cannot_be_prepared_is_named_and_the_others_of_its_batch_count(
    scenes: Scenes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(image: np.ndarray, *more: Any, **named: Any) -> np.ndarray:
        if image.shape[1] == 3:
            raise cv2.error("too long")  # as older versions say of 32767 pixels
        return np.asarray(whole(image, *more, **named))

    whole = cv2.warpAffine
    monkeypatch.setattr("inference.preprocess.cv2.warpAffine", refused)
    assert cv2.imwrite(str(scenes[1] / "scene-3.png"), np.zeros((90, 3, 3), np.uint8))
    report = report_of(scenes, tmp_path, status=1)
    assert report.unreadable == ("scene-3.png",) and report.protocol.images == 5
    assert "skipped: scene-3.png: " in capsys.readouterr().err


def test_detections_are_written_in_cocos_layout_with_the_ids_of_the_annotations(scenes: Scenes, tmp_path: Path) -> None:
    file = tmp_path / "detections.json"
    assert main(arguments(scenes, "--detections", str(file))) == 0
    results = json.loads(file.read_bytes())
    # The dog that the network sees everywhere is no category here.
    assert {one["category_id"] for one in results} == {40}
    assert [one["image_id"] for one in results] == [10, 20, 30, 40, 50, 60]
    np.testing.assert_allclose(results[0]["bbox"], [8, 4, 40, 32], atol=4)


@pytest.mark.parametrize("option", ["--report", "--detections"])
def test_a_file_that_cannot_be_written_is_an_error_before_anything_is_measured(
    sail: Any, scenes: Scenes, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(scenes, option, str(tmp_path / "none" / "file.json"))) == 1
    assert "there is no folder" in capsys.readouterr().err and sail.loaded == []


def test_annotations_of_other_classes_are_refused(scenes: Scenes, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(scenes[2].read_bytes())
    document["categories"][0]["name"] = "zebra"
    scenes[2].write_text(json.dumps(document))
    assert main(arguments(scenes)) == 1
    assert "categories that the model does not find: zebra" in capsys.readouterr().err


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda release, images, annotations: annotations.unlink(), "cannot be read"),
        (lambda release, images, annotations: images.rename(images.parent / "gone"), "there is no folder"),
        (lambda release, images, annotations: [path.unlink() for path in images.iterdir()], "none of the 6 annotated"),
    ],
    ids=["no annotations", "no folder", "no images"],
)
def test_what_cannot_be_measured_is_an_error(
    scenes: Scenes, capsys: pytest.CaptureFixture[str], spoil: Any, words: str
) -> None:
    spoil(*scenes)
    assert main(arguments(scenes)) == 1
    assert words in capsys.readouterr().err


def test_an_unknown_protocol_is_wrong_usage(scenes: Scenes) -> None:
    assert main(arguments(scenes, "--protocol", "voc")) == 2
