"""What a build published, put to use on a device whose simulator is the stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.__main__ import main
from tests.flows.stand_in import pymlir
from tests.flows.test_build import FP32, INT8
from tests.flows.tiny import TinyBuild

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def device(finished: TinyBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CENTERNET_TOOLCHAIN_PYTHON", finished.toolchain.python)
    monkeypatch.setenv("CENTERNET_DEVICE_STORE", str(tmp_path / "device"))
    return tmp_path / "device"


@pytest.mark.parametrize(("chip", "path"), [("BM1688", FP32), ("BM1684X", INT8)])
def test_a_published_release_passes_its_self_test(
    chip: str, path: str, finished: TinyBuild, device: Path, capsys: Capture
) -> None:
    assert main(["pull", f"oci:{finished.folder}/registry", "--chip", chip]) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert f"self-test passed: {path}" in shown and "in use now" in shown
    assert (device / "current" / path).is_file()


def test_a_published_release_fails_its_self_test_where_it_runs_differently(
    finished: TinyBuild, device: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.engines.simulator import SimulatorEngine

    run = SimulatorEngine.run
    monkeypatch.setattr(SimulatorEngine, "run", lambda self, batch: run(self, batch) + pymlir.SIZE)
    assert main(["pull", f"oci:{finished.folder}/registry", "--chip", "BM1688"]) == 1
    assert f"the self-test of {FP32} failed: its heatmap is off by 3 " in capsys.readouterr().err
    assert not (device / "current").exists()
