"""Which engine is taken on which machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from artifacts.release import PreprocessSpec, Variant
from inference import Detector
from inference.engines import choose
from inference.engines.choose import EngineWish, choose_engine, open_engine, preferred_chip, sail_problem
from inference.engines.locate import PYTHON_VARIABLE
from inference.engines.sail import SailEngine
from inference.errors import EngineError, EngineNotFound, ModelError, OptionError
from tests.inference.releases import write_release
from tests.inference.sail_files import sail_bmodel

SPEC = PreprocessSpec(width=32, height=32)
FOR_DEVICE = Variant(chip="BM1684X", precision="int8", batch=4)
FOR_OTHERS = Variant(chip="BM1688", precision="int8", batch=1)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, fake_python: Path) -> Path:
    """A machine with the compiler's environment."""
    monkeypatch.setenv(PYTHON_VARIABLE, str(fake_python))
    return fake_python


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("CENTERNET_CACHE", str(tmp_path / "no-cache"))


@pytest.fixture
def release(tmp_path: Path) -> Path:
    files = {variant: sail_bmodel(chip=variant.chip, batch=variant.batch) for variant in (FOR_DEVICE, FOR_OTHERS)}
    return write_release(tmp_path / "release", files, spec=SPEC)


def test_a_device_comes_first(sail: Any, compiler: Path) -> None:
    assert choose_engine(EngineWish()) == "sail" and sail_problem() is None


def test_without_sail_it_is_the_simulator_and_the_problem_is_told(compiler: Path) -> None:
    assert choose_engine(EngineWish()) == "simulator"
    assert "no module sophon.sail" in str(sail_problem())


def test_without_a_device_it_is_the_simulator_and_the_problem_is_told(
    sail: Any, compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sail.targets.clear()
    assert "sail is here, but no device" in str(sail_problem())
    monkeypatch.setattr(choose, "has_driver", lambda: True)
    assert "the driver is loaded, but sail finds no device" in str(sail_problem())
    assert choose_engine(EngineWish()) == "simulator"


def test_a_machine_with_neither_is_told_how_to_get_each(no_compiler: None) -> None:
    with pytest.raises(
        EngineNotFound, match=r"no engine\. sail: .*install the sophon-sail wheel.*simulator: .*make build"
    ):
        choose_engine(EngineWish())


def test_what_is_named_is_taken(sail: Any, compiler: Path) -> None:
    assert choose_engine(EngineWish("simulator")) == "simulator"
    sail.targets.clear()
    assert choose_engine(EngineWish("sail")) == "sail"


@pytest.mark.parametrize("wish", [EngineWish("cuda"), EngineWish("sail", -1)])
def test_what_cannot_be_is_refused(wish: EngineWish) -> None:
    for ask in (choose_engine, preferred_chip):
        with pytest.raises(OptionError):
            ask(wish)


def test_the_chip_of_the_device_is_preferred_and_nobodys_with_the_simulator(sail: Any) -> None:
    sail.targets[:] = ["BM1684", "BM1684X"]
    assert [preferred_chip(EngineWish(device=number)) for number in (0, 1, 2)] == ["BM1684", "BM1684X", None]
    assert preferred_chip(EngineWish("simulator", 1)) is None


def test_without_a_device_no_chip_is_preferred() -> None:
    assert preferred_chip(EngineWish()) is None


def test_an_open_engine_is_the_one_that_was_chosen(sail: Any, release: Path) -> None:
    with open_engine(release / FOR_DEVICE.path, "BM1684X", EngineWish()) as engine:
        assert isinstance(engine, SailEngine)


def test_the_detector_takes_the_file_for_its_device(sail: Any, release: Path) -> None:
    with Detector(release) as detect:
        assert detect.model.variant == FOR_DEVICE
        assert (detect.engine_info.engine, detect.engine_info.chip) == ("sail", "BM1684X")


def test_the_detector_uses_the_device_that_is_named(sail: Any, release: Path) -> None:
    sail.targets[:] = ["BM1684X", "BM1688"]
    with Detector(release, "sail", device=1) as detect:
        assert detect.model.variant == FOR_OTHERS


def test_a_file_for_another_chip_is_refused_naming_both(sail: Any, release: Path) -> None:
    with pytest.raises(ModelError, match="is for BM1688, but device 0 is a BM1684X"):
        Detector(release / FOR_OTHERS.path)
    with pytest.raises(ModelError, match="is for BM1688, but device 0 is a BM1684X"):
        Detector(release, chip="BM1688")


def test_a_release_without_the_devices_chip_says_what_it_has(sail: Any, release: Path) -> None:
    sail.targets[:] = ["BM1684"]
    with pytest.raises(ModelError, match=r"has no BM1684; it has BM1684X/.*, BM1688/"):
        Detector(release)


def test_a_device_that_is_not_there_is_an_error(sail: Any, release: Path) -> None:
    with pytest.raises(EngineError, match="device 7 cannot be opened"):
        Detector(release / FOR_DEVICE.path, device=7)


def test_a_batch_is_chosen_on_wish(sail: Any, release: Path) -> None:
    with Detector(release, batch=4) as detect:
        assert detect.model.variant.batch == 4
    with pytest.raises(ModelError, match="has no BM1684X batch 2"):
        Detector(release, batch=2)
