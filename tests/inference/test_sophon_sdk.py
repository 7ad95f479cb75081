"""Finding the vendor's module and asking for devices and versions, in made-up file systems."""

from __future__ import annotations

import importlib.machinery
import shutil
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

from inference.engines import sophon_sdk
from inference.engines.sophon_sdk import (
    Device,
    chip_name,
    devices,
    driver_version,
    false_package,
    find_sail,
    has_driver,
    libsophon_version,
    open_device,
)
from inference.errors import EngineError, EngineNotFound
from tests.inference.conftest import forget_sophon
from tests.inference.sail_files import STAND_IN

VERSION = "python{}.{}".format(*sys.version_info[:2])


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    forget_sophon()
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    yield
    forget_sophon()


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Another project's package of the same name, on Python's search path."""
    package = tmp_path / "elsewhere" / "sophon"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("strange = True\n")
    monkeypatch.syspath_prepend(str(package.parent))
    return package


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_module_on_pythons_own_path_is_taken(sail: Any, tmp_path: Path) -> None:
    assert find_sail(tmp_path) is sail


@pytest.mark.parametrize(
    "place",
    [
        "usr/lib/python3/dist-packages",
        f"usr/local/lib/{VERSION}/dist-packages",
        "opt/sophon/sophon-sail_3.10.7/python",
        "opt/sophon/sophon-sail/python/soc",
        "home/.local/lib/" + VERSION + "/site-packages",
    ],
)
def test_what_a_virtual_environment_does_not_see_is_found(tmp_path: Path, place: str) -> None:
    shutil.copytree(STAND_IN / "sophon", tmp_path / place / "sophon")
    before = list(sys.path)
    assert find_sail(tmp_path).__file__ == str(tmp_path / place / "sophon" / "sail.py")
    assert sys.path == before


def test_the_vendors_module_is_found_behind_a_stranger_of_its_name(tmp_path: Path, stranger: Path) -> None:
    shutil.copytree(STAND_IN / "sophon", tmp_path / "usr/lib/python3/dist-packages" / "sophon")
    assert find_sail(tmp_path).get_available_tpu_num() == 1


def test_another_projects_package_is_recognised_and_named(tmp_path: Path, stranger: Path) -> None:
    with pytest.raises(EngineNotFound, match=r"elsewhere/sophon/__init__.py is not the SDK's: it has no sail"):
        find_sail(tmp_path)
    assert false_package() == str(stranger / "__init__.py")


def test_the_vendors_package_is_not_taken_for_a_stranger(sail: Any) -> None:
    assert false_package() is None


def test_nothing_at_all_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(EngineNotFound, match=r"no module sophon.sail: it is not on the public package index: install"):
        find_sail(tmp_path)
    assert false_package() is None


def test_a_module_for_another_python_is_named(tmp_path: Path) -> None:
    write(tmp_path / "usr/lib/python3/dist-packages/sophon/sail.cpython-27-aarch64-linux-gnu.so", "")
    with pytest.raises(EngineNotFound, match=r"sail.cpython-27-aarch64-linux-gnu.so is built for another Python"):
        find_sail(tmp_path)


@pytest.mark.parametrize("place", ["elsewhere", "usr/lib/python3/dist-packages"])
def test_a_module_that_does_not_load_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    package = tmp_path / place / "sophon"
    write(package / "__init__.py", "")
    write(package / f"sail{importlib.machinery.EXTENSION_SUFFIXES[0]}", "no library")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    with pytest.raises(EngineNotFound, match=r"installed but does not load: .*sail\..*libsophon's lib folder"):
        find_sail(tmp_path)


def test_a_package_that_sail_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "elsewhere/sophon/__init__.py", "import surely_not_installed")
    write(tmp_path / "elsewhere/sophon/sail.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    with pytest.raises(EngineNotFound, match="needs the package surely_not_installed"):
        find_sail(tmp_path)


def test_devices_are_listed_with_their_chips(sail: Any, tmp_path: Path) -> None:
    sail.targets[:] = ["BM1684X", "BM1688", "CV186AH"]
    assert devices(sail, tmp_path) == [
        Device(0, "BM1684X", "BM1684X"),
        Device(1, "BM1688", "BM1688"),
        Device(2, "CV186X", "CV186AH"),
    ]


def test_without_a_driver_there_are_no_devices(sail: Any, tmp_path: Path) -> None:
    sail.targets.clear()
    assert devices(sail, tmp_path) == []


def test_a_device_that_cannot_be_opened_is_listed_as_such(
    sail: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sail, "get_available_tpu_num", lambda: 2)
    found = devices(sail, tmp_path)
    assert found[0].chip == "BM1684X"
    assert found[1] == Device(1, None, "cannot be opened (init device failure)")
    with pytest.raises(EngineError, match="device 1 cannot be opened"):
        open_device(sail, 1, tmp_path)


@pytest.mark.parametrize("reported", ["Error", "NOT 1684, 1684X, BM1688, or CV186AH !"])
@pytest.mark.parametrize(
    "files, chip",
    [
        ({"proc/bmsophon/card0/chipid": "0x1684x\n"}, "BM1684X"),
        ({"proc/bmsophon/card0/chipid": "0x1684\n"}, "BM1684"),
        ({"proc/bmsophon/card0/chipid": "0x1684x", "proc/bmsophon/card1/chipid": "0x1684"}, None),
        (
            {
                "proc/bmsophon/card0/chipid": "0x1684x",
                "proc/bmsophon/card1/chipid": "0x1684",
                "proc/cpuinfo": "model name\t: bm1688",
            },
            None,
        ),
        ({"proc/cpuinfo": "processor\t: 0\nmodel name\t: bm1688\n"}, "BM1688"),
        ({"proc/cpuinfo": "model name\t: cv186ah\n"}, "CV186X"),
        ({"proc/cpuinfo": "model name\t: Intel(R) Xeon(R)\n"}, None),
        ({}, None),
    ],
)
def test_where_sail_does_not_know_the_chip_the_driver_or_the_processor_does(
    sail: Any, tmp_path: Path, reported: str, files: Any, chip: str
) -> None:
    sail.targets[:] = [reported]
    for name, text in files.items():
        write(tmp_path / name, text)
    assert open_device(sail, 0, tmp_path) == Device(0, chip, reported)


def test_names_of_chips_are_those_that_bmodels_have() -> None:
    assert [chip_name(name) for name in ("BM1684", "bm1684x", " BM1688\n", "cv186ah", "BM1690")] == [
        "BM1684",
        "BM1684X",
        "BM1688",
        "CV186X",
        None,
    ]


def test_versions_of_driver_and_runtime(tmp_path: Path) -> None:
    assert (driver_version(tmp_path), libsophon_version(tmp_path), has_driver(tmp_path)) == (None, None, False)
    write(tmp_path / "proc/bmsophon/driver_version", "release version:0.5.1   release date: 20240601-120000\n")
    (tmp_path / "opt/sophon/libsophon-0.5.1").mkdir(parents=True)
    (tmp_path / "opt/sophon/libsophon-current").symlink_to("libsophon-0.5.1")
    assert (driver_version(tmp_path), libsophon_version(tmp_path), has_driver(tmp_path)) == ("0.5.1", "0.5.1", True)


@pytest.mark.parametrize("node", ["dev/bm-sophon0", "dev/bm-tpu0"])
def test_a_drivers_node_is_seen(tmp_path: Path, node: str) -> None:
    write(tmp_path / node, "")
    assert has_driver(tmp_path)


def test_the_module_needs_no_package_beside_python() -> None:
    source = Path(sophon_sdk.__file__).read_text(encoding="utf-8")
    assert "numpy" not in source.replace("neither numpy nor pydantic", "") and "artifacts" not in source
