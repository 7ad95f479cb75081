"""Detection with preprocessing on the device, over the stand-in for the vendor's module."""

from __future__ import annotations

import gc
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, List

import cv2
import numpy as np
import pytest

from artifacts.release import PreprocessSpec, Variant
from inference import Detector
from inference.__main__ import main
from inference.bmcv.feed import open_bmcv
from inference.bmcv.modelled import preprocess_like_bmcv
from inference.engines import watched
from inference.engines.choose import EngineWish
from inference.errors import EngineError, ImageError, OptionError
from inference.model import find_model
from inference.preprocess import preprocess
from inference.validate import ValidationReport
from tests.inference.releases import write_release
from tests.inference.sail_files import INT8, UINT8, sail_bmodel
from tests.inference.scenes import find_white_boxes, write_scene_release, write_scenes
from tests.inference.test_validate import Scenes

SIDE = 64
SPEC = PreprocessSpec(width=SIDE, height=SIDE)


def released(folder: Path, *, batch: int = 1, spec: PreprocessSpec = SPEC, **what: Any) -> Path:
    variant = Variant(chip="BM1684X", precision="int8", batch=batch, io="raw" if spec.fused else "float")
    data = sail_bmodel(batch=batch, side=spec.width, **what)
    own = spec.model_copy(update={"fused": False})
    return write_release(folder / "release", {variant: data}, spec=own)


def pictures(count: int) -> List[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (60 + 7 * number, 100, 3), dtype=np.uint8) for number in range(count)]


@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_the_model_gets_what_the_documentation_says(sail: Any, tmp_path: Path, order: str) -> None:
    spec = PreprocessSpec.model_validate({**SPEC.model_dump(), "channel_order": order})
    image = pictures(1)[0]
    with Detector(released(tmp_path, spec=spec), preprocess="bmcv") as detect:
        assert detect.preprocess == "bmcv"
        detect(image)
    (given,) = (call["image"] for call in sail.calls)
    np.testing.assert_allclose(given[0], preprocess_like_bmcv(image, spec), atol=1e-6)


def test_it_does_not_get_the_nearest_pixel(sail: Any, tmp_path: Path) -> None:
    image = pictures(1)[0]
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        detect(image)
    assert np.abs(sail.calls[0]["image"][0] - preprocess_like_bmcv(image, SPEC, nearest=True)).mean() > 0.1


def test_raw_pixels_stay_pixels(sail: Any, tmp_path: Path) -> None:
    raw = SPEC.model_copy(update={"fused": True})
    image = pictures(1)[0]
    with Detector(released(tmp_path, spec=raw, given=UINT8), preprocess="bmcv") as detect:
        detect(image)
    np.testing.assert_array_equal(sail.calls[0]["image"][0], preprocess_like_bmcv(image, raw))


def test_an_int8_input_has_its_scale_in_the_arithmetic(sail: Any, tmp_path: Path) -> None:
    image = pictures(1)[0]
    with Detector(released(tmp_path, given=INT8, given_scale=40.0), preprocess="bmcv") as detect:
        detect(image)
    stored = sail.calls[0]["image"][0]
    wanted = np.clip(preprocess_like_bmcv(image, SPEC) * 40, -128, 127)
    assert stored.dtype == np.int8 and np.abs(stored - wanted).max() <= 0.501


@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_model_of_four_is_fed_partly_filled_batches(sail: Any, tmp_path: Path, count: int) -> None:
    images = pictures(count)
    with Detector(released(tmp_path, batch=4), preprocess="bmcv") as detect:
        assert len(detect.detect(images)) == count
    given = np.concatenate([call["image"] for call in sail.calls])[:count]
    for row, image in zip(given, images):
        np.testing.assert_allclose(row, preprocess_like_bmcv(image, SPEC), atol=1e-6)


def test_a_stream_finds_what_single_calls_find_and_decodes_plain_jpeg_files_on_the_device(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, threads_end: None
) -> None:
    monkeypatch.setattr(sail, "compute", find_white_boxes)
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(5):
        image = np.zeros((100, 128, 3), np.uint8)
        image[20:50, 10 + 12 * number : 50 + 12 * number] = 255
        name = f"{number}.png" if number == 2 else f"{number}.jpg"
        assert cv2.imwrite(str(folder / name), image)
    (folder / "3.jpg").write_bytes(b"\xff\xd8\xff")
    problems: List[ImageError] = []
    with Detector(released(tmp_path, batch=2), preprocess="bmcv") as detect:
        results = list(detect.stream(folder, on_unreadable=problems.append))
        assert [result.name for result in results] == ["0.jpg", "1.jpg", "2.png", "4.jpg"]
        assert len(problems) == 1 and len(sail.decoded) == 3
        for result in results:
            assert isinstance(result.image, np.ndarray) and result.image.shape == (100, 128, 3)
            again = detect(result.image)
            np.testing.assert_array_equal(again.boxes_xyxy, result.detections.boxes_xyxy)
            left = 10 + 12 * int(result.name[0])
            # The white box reaches from pixel `left` on; the network here counts the pixels that are not black.
            np.testing.assert_allclose(again.boxes_xyxy[0, :2], [left - 0.5, 19.5], atol=2.1)


@pytest.mark.parametrize(
    "image, problem",
    [
        (np.zeros((4, 100, 3), np.uint8), "image 1 of the batch: an image of 100 x 4 pixels becomes"),
        (np.zeros((60, 100, 3), np.float32), "image 1 of the batch: an image is uint8"),
    ],
)
def test_an_image_that_cannot_be_prepared_is_named(sail: Any, tmp_path: Path, image: np.ndarray, problem: str) -> None:
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        with pytest.raises(ImageError, match=problem):
            detect.detect([pictures(1)[0], image])


@pytest.mark.parametrize("name", ["mat_to_bm_image", "vpp_resize_padding", "convert_to", "bm_image_to_tensor"])
def test_a_failure_inside_the_vendors_library_is_the_engines(sail: Any, tmp_path: Path, name: str) -> None:
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        sail.broken[name] = sail.SailBMImageError("bmcv api fail")
        with pytest.raises(EngineError, match="BMCV of device 0 cannot prepare an image: bmcv api fail"):
            detect(pictures(1)[0])


def test_a_tensor_with_gaps_is_not_run(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = sail.Tensor(sail.Handle(0), [0], sail.Dtype.BM_FLOAT32)
    with Detector(released(tmp_path), preprocess="bmcv") as detect:
        monkeypatch.setattr(sail.Bmcv, "bm_image_to_tensor", lambda bmcv, image: empty)
        with pytest.raises(EngineError, match=r"\[0\], not \[1, 3, 64, 64\]"):
            detect(pictures(1)[0])
    assert sail.calls == []


def test_a_sail_without_bmcv_says_what_is_needed(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(sail, "Bmcv")
    with pytest.raises(EngineError, match=r"cannot be opened: .* built with BMCV"):
        Detector(released(tmp_path), preprocess="bmcv")


def test_closed_it_prepares_nothing(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(watched, "GRACE_S", 0.1)
    detect = Detector(released(tmp_path), preprocess="bmcv")
    detect.close()
    detect.close()
    with pytest.raises(EngineError, match="closed"):
        detect(pictures(1)[0])


def test_closed_it_holds_no_handle_any_more(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    handles: List[Any] = []
    made = sail.Handle.__init__

    def noted(handle: Any, number: int) -> None:
        made(handle, number)
        handles.append(weakref.ref(handle))

    monkeypatch.setattr(sail.Handle, "__init__", noted)
    detect = Detector(released(tmp_path), preprocess="bmcv")
    detect(pictures(1)[0])
    detect.close()
    gc.collect()
    assert len(handles) > 1 and [one() for one in handles] == [None] * len(handles)


@pytest.mark.parametrize("hanging", ["sync_d2d", "asnumpy"])
def test_a_call_that_hangs_keeps_the_memory_that_it_reads(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hanging: str
) -> None:
    free, memory = threading.Event(), []
    converted = sail.Bmcv.convert_to

    def noted(bmcv: Any, placed: Any, made: Any, factors: Any) -> int:
        memory.append(weakref.ref(made))
        return int(converted(bmcv, placed, made, factors))

    monkeypatch.setattr(sail.Bmcv, "convert_to", noted)
    for module in ("inference.engines.sail", "inference.bmcv.device"):
        monkeypatch.setattr(f"{module}.ANSWER_S", 0.2)
    model = find_model(released(tmp_path))
    engine, feed = open_bmcv(model.path, "BM1684X", model.spec, EngineWish("sail"))
    monkeypatch.setattr(sail.Tensor, hanging, lambda *_: free.wait(60))
    row = feed.prepare(pictures(1)[0])
    with suppress(EngineError):
        _ = feed.run([row]) if hanging == "sync_d2d" else feed.values(row)
        pytest.fail("it did not hang")
    del row
    gc.collect()
    assert len(memory) == 1 and memory[0]() is not None
    free.set()
    feed.close()
    engine.close()


def test_only_a_device_prepares_images(tmp_path: Path, sail: Any) -> None:
    release = released(tmp_path)
    with pytest.raises(OptionError, match="only a device prepares images"):
        Detector(release, "simulator", preprocess="bmcv", python=Path("python"))
    with pytest.raises(OptionError, match="there is no preprocessing 'dsp'"):
        Detector(release, preprocess="dsp")


def test_where_nobody_named_the_simulator_the_reason_is_what_keeps_the_device_from_use(
    tmp_path: Path, sail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = released(tmp_path)
    sail.targets.clear()
    monkeypatch.setattr("inference.engines.choose.simulator_python", lambda python: Path("python"))
    with pytest.raises(OptionError, match="no device can be used here: sail is here, but no device") as caught:
        Detector(release, preprocess="bmcv")
    assert "simulator" not in str(caught.value)


def test_the_host_stays_the_default_and_as_it_was(sail: Any, tmp_path: Path) -> None:
    image = pictures(1)[0]
    with Detector(released(tmp_path)) as detect:
        assert detect.preprocess == "host"
        detect(image)
    np.testing.assert_array_equal(sail.calls[0]["image"][0], preprocess(image, SPEC))


@pytest.fixture
def scenes(sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scenes:
    monkeypatch.setattr(sail, "compute", find_white_boxes)
    images, annotations = write_scenes(tmp_path)
    return write_scene_release(tmp_path / "release", images, annotations), images, annotations


def test_a_validation_says_which_way_it_measured(
    scenes: Scenes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release, images, annotations = map(str, scenes)
    file = tmp_path / "report.json"
    asked = ["validate", "--model", release, "--images", images, "--annotations", annotations, "--report", str(file)]
    assert main([*asked, "--preprocess", "bmcv"]) == 0
    report = ValidationReport.model_validate_json(file.read_bytes())
    assert report.setting.preprocess == "bmcv" and report.comparable
    assert report.comparison.endswith("that the release records, with preprocessing by bmcv")
    assert "preprocessing by bmcv" in capsys.readouterr().out
    assert main(asked) == 0
    assert ValidationReport.model_validate_json(file.read_bytes()).setting.preprocess == "host"


def test_detect_and_bench_take_it_too(scenes: Scenes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release, images, _ = map(str, scenes)
    out = tmp_path / "out"
    assert main(["detect", "--model", release, "--input", images, "--output", str(out), "--preprocess", "bmcv"]) == 0
    assert (out / "detections.json").is_file() and (out / "scene-1.png").is_file()
    file = tmp_path / "bench.json"
    bench = ["bench", "--model", release, "--images", "4", "--warm-up", "0", "--preprocess", "bmcv"]
    assert main([*bench, "--json", str(file)]) == 0
    assert '"preprocess": "bmcv"' in file.read_text()
