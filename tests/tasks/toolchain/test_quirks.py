"""Each oddity of the compiler's package is found where it is, cured, and not found where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.errors import ProvisionFailed
from tasks.toolchain import quirks
from tasks.toolchain.provision import mend, recipe_of
from tasks.toolchain.quirks import QUIRKS, Quirk

BANNER = b"\0GNU C Library (Ubuntu GLIBC 2.35-0ubuntu3.8) stable release version 2.35.\nCopyright\0"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of `tpu_mlir` as its wheel leaves it."""
    package = tmp_path / "tpu_mlir"
    for folder in ("lib/third_party", "python/tools", "bin"):
        (package / folder).mkdir(parents=True)
    (package / "lib/third_party/libc.so.6").write_bytes(BANNER)
    for name in ("libm.so.6", "libpthread.so.0", "libgomp.so.1"):
        (package / "lib/third_party" / name).write_bytes(b"library")
    for tool in ("python/tools/model_transform.py", "bin/tpuc-opt"):
        (package / tool).write_text("#!/bin/sh\n")
        (package / tool).chmod(0o644)
    return package


@pytest.mark.parametrize(
    ("host", "odd"), [("2.36", True), ("2.31", True), ("2.35", False), ("2.3", True), ("", True)], ids=str
)
def test_a_bundled_c_library_is_odd_where_it_is_newer_or_older_than_the_machines(
    package: Path, host: str, odd: bool
) -> None:
    assert quirks.bundled_glibc(package, host) is odd


def test_a_bundled_c_library_of_unknown_version_is_not_trusted(package: Path) -> None:
    (package / "lib/third_party/libc.so.6").write_bytes(b"something else")
    assert quirks.bundled_glibc(package, "2.35")


def test_the_bundled_c_library_is_set_aside_and_other_libraries_stay(package: Path) -> None:
    quirks.set_glibc_aside(package)
    assert not quirks.bundled_glibc(package)
    assert sorted(path.name for path in (package / "lib/third_party").iterdir()) == ["libgomp.so.1", "set-aside"]
    quirks.set_glibc_aside(package)
    assert (package / "lib/third_party/set-aside/libc.so.6").read_bytes() == BANNER


def test_a_cure_that_was_stopped_half_way_is_finished(package: Path) -> None:
    (package / "lib/third_party/libc.so.6").unlink()
    assert quirks.bundled_glibc(package)
    quirks.set_glibc_aside(package)
    assert not quirks.bundled_glibc(package)


def test_a_package_without_a_c_library_is_left_alone(package: Path) -> None:
    for name in ("libc.so.6", "libm.so.6", "libpthread.so.0"):
        (package / "lib/third_party" / name).unlink()
    assert not quirks.bundled_glibc(package)


def test_the_machines_own_c_library_is_known_or_none_of_glibcs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: "glibc 2.36")
    assert quirks.host_glibc() == "2.36"

    def unknown(_: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    assert quirks.host_glibc() == ""


def test_tools_get_their_execute_bits(package: Path) -> None:
    assert quirks.not_executable(package)
    quirks.make_executable(package)
    assert not quirks.not_executable(package)
    assert os.access(package / "bin/tpuc-opt", os.X_OK)


def test_all_quirks_of_a_fresh_package_are_mended(package: Path) -> None:
    mend(package, QUIRKS)
    assert not [quirk.name for quirk in QUIRKS if quirk.present and quirk.present(package)]


def test_a_quirk_that_is_not_there_is_not_mended(package: Path) -> None:
    mended: list[Path] = []
    mend(package, [Quirk(name="absent", why="", present=lambda _: False, mend=mended.append)])
    assert mended == []


@pytest.mark.parametrize("cure", [lambda _: None, None])
def test_a_quirk_that_outlives_its_cure_stops_the_provisioning(package: Path, cure: object) -> None:
    stubborn = Quirk(name="stubborn", why="it stays", present=lambda _: True, mend=cure)  # type: ignore[arg-type]
    with pytest.raises(ProvisionFailed, match=r"stubborn \(it stays\) is still there"):
        mend(package, [stubborn])


def test_what_the_package_does_not_declare_is_asked_for_beside_it() -> None:
    recipe = recipe_of("1.30.2")
    assert recipe.requirements == ("tpu_mlir[torch,onnx]==1.30.2", "psutil", "setuptools<81")
    assert "torch==2.11.0" in recipe.constraints and "opencv-python-headless==4.8.0.74" in recipe.constraints


def test_a_release_without_a_lock_gets_the_constraints_of_the_quirks() -> None:
    assert recipe_of("9.9").constraints == ("opencv-python-headless==4.8.0.74",)
    assert recipe_of("9.9", []).requirements == ("tpu_mlir==9.9",)
