"""Settings that ask for tpu-nntc: what it needs to be told, and what it does not make."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import load_settings
from settings.problems import DEFAULT
from tests.settings.problem_lines import lines

PROFILE = """
extends = "sample"
matrix = [{chip = "BM1684", precisions = ["fp32", "int8"], batches = [1, 4]}]
[toolchain]
name = "tpu-nntc"
[toolchain.nntc]
version = "3.1.7"
image = "sophgo/tpuc_dev:v2.1"
folder = "tpu-nntc"
fp32_layers = ["30", "33", "36"]
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "nntc.toml"
    path.write_text(PROFILE)
    return path


def test_what_it_needs_is_read_and_its_folder_lies_beside_the_profile(profile: Path) -> None:
    settings = load_settings(profile, environ={})
    nntc = settings.toolchain.nntc
    assert (nntc.version, nntc.image, nntc.python) == ("3.1.7", "sophgo/tpuc_dev:v2.1", None)
    assert (nntc.folder, nntc.fp32_layers) == (profile.parent / "tpu-nntc", ("30", "33", "36"))


def test_what_it_is_told_by_default_asks_for_nothing() -> None:
    settings = load_settings("sample", environ={})
    assert settings.toolchain.name == "tpu-mlir" and settings.toolchain.nntc.lacks is not None
    assert f'toolchain.name = "tpu-mlir"  # {DEFAULT}' in settings.describe()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("toolchain.nntc.version=3.0.9",), "toolchain.nntc.version: is older than 3.1.0"),
        (("toolchain.nntc.version=new",), "toolchain.nntc.version: "),
        (("toolchain.nntc.version=none",), "toolchain.nntc: needs version"),
        (("toolchain.nntc.image=none",), "toolchain.nntc: needs one of image and python"),
        (("toolchain.nntc.python=/usr/bin/python3",), "toolchain.nntc: has both image and python"),
        (("toolchain.nntc.image=--privileged",), "toolchain.nntc.image: "),
        (('toolchain.nntc.fp32_layers=["30,33"]',), "toolchain.nntc.fp32_layers"),
        (("toolchain.name=tpu-nnct",), "toolchain.name: "),
    ],
)
def test_what_is_wrong_or_missing_is_told_at_its_key(profile: Path, overrides: tuple[str, ...], said: str) -> None:
    (line,) = lines(profile, *overrides)
    assert line.startswith(said)


def test_what_is_missing_names_the_other_compiler(profile: Path) -> None:
    (line,) = lines(profile, "toolchain.nntc.image=none")
    assert "or set toolchain.name to tpu-mlir" in line


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{chip = "BM1688", precisions = ["int8"]}', "it knows BM1684 and BM1684X only"),
        ('{chip = "BM1684X", precisions = ["fp16"]}', "its manual has no fp16"),
        ('{chip = "BM1684X", precisions = ["int8"], io = ["raw"]}', "raw pixels"),
    ],
)
def test_a_variant_that_it_does_not_make_is_refused_with_the_reason(profile: Path, row: str, reason: str) -> None:
    profile.write_text(PROFILE.replace("matrix = [", f"matrix = [{row}, "))
    (line,) = lines(profile)
    assert line.startswith("matrix: ") and reason in line and "tpu-mlir makes it" in line


def test_tpu_mlir_is_asked_nothing_about_it() -> None:
    assert load_settings("sample", overrides=["toolchain.nntc.image=none"], environ={}).toolchain.name == "tpu-mlir"
