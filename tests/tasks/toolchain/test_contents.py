"""A compiler whose files decayed is found: by what was noted when it was installed, or by its packages' lists."""

from __future__ import annotations

import base64
import hashlib
import random
from pathlib import Path

import pytest

from tasks.errors import ToolchainDecayed
from tasks.toolchain import contents
from tasks.toolchain.contents import CONTENTS, READY, check_before_use, check_contents, write_contents
from tasks.toolchain.model import Toolchain
from tests.artifacts.damage import FLIPPED, KINDS, LINK, decay

FILES = {
    "bin/model_deploy": b"#!/bin/sh\n",
    "lib/python3.10/site-packages/tpu_mlir/lib/libtpu.so": bytes(range(256)) * 9,
    "lib/python3.10/site-packages/tpu_mlir/__init__.py": b"import os\n",
    "lib/python3.10/site-packages/torch/lib/libtorch.so": bytes(range(256)) * 11,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(contents, "_checked", set())
    for name, data in FILES.items():
        path = tmp_path / "compiler" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "compiler" / READY).write_text("{}")
    (tmp_path / "elsewhere").write_bytes(b"other")
    return tmp_path / "compiler"


def toolchain(folder: Path) -> Toolchain:
    return Toolchain(name="tpu-mlir", version="1", fingerprint="sha256:aa", root=str(folder), python="python")


def list_as_installers_do(folder: Path) -> None:
    packages = folder / "lib/python3.10/site-packages"
    (packages / "tpu_mlir-1.dist-info").mkdir()
    lines = ["tpu_mlir/__pycache__/x.pyc,,", "tpu_mlir-1.dist-info/RECORD,,"]
    for name, data in FILES.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        place = name.removeprefix("lib/python3.10/site-packages/") if name.startswith("lib") else f"../../../{name}"
        lines.append(f"{place},sha256={digest},{len(data)}")
    (packages / "tpu_mlir-1.dist-info" / "RECORD").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("written_down", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_each_file_that_decayed_is_named(folder: Path, kind: str, written_down: bool) -> None:
    if written_down:
        write_contents(folder)
    else:
        list_as_installers_do(folder)
    assert check_contents(folder) == (len(FILES), [])
    for name, data in FILES.items():
        path = folder / name
        decay(path, kind, random.Random(1), folder.parent / "elsewhere")
        passed_over = kind is LINK and path.name == "libtpu.so"  # the compiler itself makes links there
        assert [problem.path for problem in check_contents(folder)[1]] == ([] if passed_over else [path])
        if path.is_dir():
            (path / "inside").unlink()
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(data)


def test_a_list_that_decayed_is_named(folder: Path) -> None:
    write_contents(folder)
    path = folder / CONTENTS
    path.write_bytes(path.read_bytes().replace(b"libtorch", b"libtorcj"))
    assert [problem.path for problem in check_contents(folder)[1]] == [path]


def test_a_library_that_was_moved_aside_is_looked_for_there_and_one_that_is_a_link_is_passed_over(folder: Path) -> None:
    list_as_installers_do(folder)
    library = folder / "lib/python3.10/site-packages/tpu_mlir/lib/libtpu.so"
    aside = library.parent / "set-aside" / library.name
    aside.parent.mkdir()
    library.rename(aside)
    assert check_contents(folder)[1] == []
    aside.write_bytes(b"decayed")
    assert [problem.path for problem in check_contents(folder)[1]] == [aside]
    aside.unlink()
    library.symlink_to(folder / READY)
    assert check_contents(folder)[1] == []


def test_a_compiler_that_decayed_is_not_used_and_not_recognised_again(folder: Path) -> None:
    write_contents(folder)
    check_before_use(toolchain(folder))
    contents._checked.clear()
    library = folder / "lib/python3.10/site-packages/tpu_mlir/lib/libtpu.so"
    decay(library, FLIPPED, random.Random(1), folder)
    with pytest.raises(ToolchainDecayed, match=r"1 of its files have changed, such as .*libtpu\.so") as caught:
        check_before_use(toolchain(folder))
    assert caught.value.paths == (library,) and not (folder / READY).exists()


def test_before_use_it_is_hashed_once_a_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_contents(folder)
    check_before_use(toolchain(folder))
    monkeypatch.setattr(contents, "check_contents", lambda *_, **__: pytest.fail("it was hashed again"))
    check_before_use(toolchain(folder))
