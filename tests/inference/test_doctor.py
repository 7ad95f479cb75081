"""What `doctor` says about machines with and without the parts that it looks for."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

from artifacts.release import PreprocessSpec, Variant
from inference import doctor as doctor_module
from inference.__main__ import main
from inference.doctor import FOUND, MISSING, PROBLEM, Examination, Finding, examine
from inference.engines.locate import PYTHON_VARIABLE
from tests.inference.conftest import forget_sophon
from tests.inference.releases import write_release
from tests.inference.sail_files import sail_bmodel

ROOT = Path(__file__).parents[2]
VARIANTS = [Variant(chip=chip, precision="int8", batch=1) for chip in ("BM1684X", "BM1688")]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without simulator and without a release in use."""
    forget_sophon()
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("CENTERNET_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.setenv("CENTERNET_DEVICE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    files = {variant: sail_bmodel(chip=variant.chip) for variant in VARIANTS}
    return write_release(tmp_path / "release", files, spec=PreprocessSpec(width=32, height=32))


def by_topic(examination: Examination) -> Dict[str, Finding]:
    return {one.topic: one for one in examination.findings}


def test_a_machine_without_anything_says_how_to_get_each_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = by_topic(examine(tmp_path))
    for topic in ("Python", "numpy", "OpenCV", "pydantic", "requests", "free disk"):
        assert found[topic].state == FOUND, found[topic]
    for topic in ("driver", "libsophon", "sail", "devices", "simulator", "release in use"):
        assert found[topic].state == MISSING
        assert found[topic].advice or "install the sophon-sail wheel" in found[topic].value
    assert main(["doctor"]) == 1
    assert "No engine can run a model here." in capsys.readouterr().out


def test_a_device_with_the_sdk_is_described(sail: Any, tmp_path: Path) -> None:
    sail.targets[:] = ["BM1688", "something new"]
    for folder in ("opt/sophon/libsophon-0.4.9", "dev/bm-tpu0"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "opt/sophon/libsophon-current").symlink_to("libsophon-0.4.9")
    examination = examine(tmp_path)
    found = by_topic(examination)
    assert (examination.engine, examination.chip) == ("sail", "BM1688")
    assert found["libsophon"].value == "0.4.9"
    assert found["sail"].value.startswith("master(20260101_000000) (")
    assert found["device 0"] == Finding("device 0", FOUND, "BM1688")
    assert (found["device 1"].state, found["device 1"].value) == (PROBLEM, "a chip of no known name: something new")
    assert "package sophon" not in found


def test_a_machine_with_only_the_simulator_can_run_models(
    fake_python: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(fake_python))
    examination = examine(tmp_path)
    assert (examination.engine, examination.chip) == ("simulator", None)
    assert str(fake_python) in by_topic(examination)["simulator"].value


def test_another_projects_package_sophon_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "site/sophon").mkdir(parents=True)
    (tmp_path / "site/sophon/__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = by_topic(examine(tmp_path))["package sophon"]
    assert (found.state, found.advice.split(":")[0]) == (PROBLEM, "pip uninstall sophon")
    forget_sophon()


def test_a_package_that_does_not_load_is_a_problem_and_nothing_can_run(
    sail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def import_module(name: str) -> Any:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return real(name)

    monkeypatch.setattr(doctor_module.importlib, "import_module", import_module)
    examination = examine()
    found = by_topic(examination)["OpenCV"]
    assert (found.state, found.value) == (PROBLEM, "it does not load: libGL.so.1: cannot open shared object file")
    assert examination.engine is None


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = shutil.disk_usage("/")._replace(free=10**6)
    monkeypatch.setattr(doctor_module.shutil, "disk_usage", lambda path: full)
    assert by_topic(examine(tmp_path))["free disk"].state == PROBLEM


def test_the_release_in_use_is_shown(tmp_path: Path) -> None:
    (tmp_path / "store/releases/one").mkdir(parents=True)
    (tmp_path / "store/current").symlink_to("releases/one")
    found = by_topic(examine(tmp_path))["release in use"]
    assert (found.state, found.value) == (FOUND, str((tmp_path / "store/releases/one").resolve()))


def test_the_model_that_would_run_is_the_one_for_the_device(
    sail: Any, release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sail.targets[:] = ["BM1684X"]
    assert main(["doctor", "--model", str(release)]) == 0
    assert "Of tiny 1 it is BM1684X/centernet_int8_1b.bmodel (sha256:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "targets, name, words",
    [
        (["BM1684"], "", "has no BM1684"),
        (["BM1684X"], VARIANTS[1].path, "is for BM1688, but the device is a BM1684X"),
        (["BM1684X"], "nothing", "there is no file or folder"),
    ],
)
def test_a_model_that_cannot_run_here_is_an_answer_and_exit_status_1(
    sail: Any, release: Path, capsys: pytest.CaptureFixture[str], targets: Any, name: str, words: str
) -> None:
    sail.targets[:] = targets
    assert main(["doctor", "--model", str(release / name)]) == 1
    out = capsys.readouterr().out
    assert "The model asked about cannot: " in out and words in out


def test_json_holds_the_same(sail: Any, release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--model", str(release)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["engine"] == "sail"
    assert (said["model"]["variant"], said["model"]["chip"]) == (VARIANTS[0].path, "BM1684X")
    assert {one["topic"]: one["state"] for one in said["findings"]}["device 0"] == "found"


def test_what_the_vendors_library_prints_does_not_get_into_the_json(
    sail: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def count() -> int:
        os.write(1, b"[bmlib_memory][info] chatter\n")
        return 1

    monkeypatch.setattr(sail, "get_available_tpu_num", count)
    assert main(["doctor", "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["engine"] == "sail"
    assert "chatter" in err


def test_it_works_on_a_python_without_any_package(tmp_path: Path) -> None:
    # -S leaves the site-packages out; the environment variables of the fixture are inherited.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "inference", "doctor", "--json", "--model", "anything"],
        cwd=str(ROOT),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr.decode()
    said = json.loads(done.stdout)
    states = {one["topic"]: one["state"] for one in said["findings"]}
    assert [states[name] for name in ("numpy", "OpenCV", "pydantic", "requests")] == [MISSING] * 4
    assert states["Python"] == states["free disk"] == FOUND
    assert "nothing can run" in said["problem"]
