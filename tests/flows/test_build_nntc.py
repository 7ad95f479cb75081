"""A build by tpu-nntc, here a stand-in: bmodels with their evidence, and a plain word that nothing was published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artifacts.bmodel import read_bmodel
from artifacts.digest import digest_file
from flows.command import run_build
from flows.nntc_command import run_build_nntc
from tests.flows.tiny import TinyBuild
from tests.tasks.toolchain.nntc.fakes import FakeNntc

MATRIX = """
matrix = [
  {{chip = "BM1684", precisions = ["fp32", "int8"], batches = [1, 4]}},
  {{chip = "BM1684X", precisions = ["int8"], batches = [4]}},
]
"""
SECTION = """
[toolchain]
name = "tpu-nntc"
[toolchain.nntc]
version = "3.1.0"
python = "{nntc}/bin/python3"
folder = "{nntc}/tpu-nntc"
"""


class NntcBuild:
    """A tiny build whose settings ask for the stand-in of tpu-nntc."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tiny = TinyBuild(folder)
        self.fake = FakeNntc(folder / "vendor", side=64)
        text = self.tiny.profile.read_text()
        start, end = text.index("matrix = ["), text.index("[network]")
        added = MATRIX.format() + SECTION.format(nntc=self.fake.root)
        self.tiny.profile.write_text(text[:start] + added + text[end:])
        monkeypatch.setenv("CENTERNET_CACHE", self.tiny.workspace.cache)

    @property
    def made(self) -> Path:
        return self.tiny.folder / "nntc"

    def run(self, *arguments: str) -> int:
        return run_build_nntc(["--profile", str(self.tiny.profile), *arguments])


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: None) -> NntcBuild:
    return NntcBuild(tmp_path, monkeypatch)


def test_the_bmodels_are_kept_with_their_evidence_and_nothing_is_published(
    build: NntcBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build.run("--set", 'toolchain.nntc.fp32_layers=["214", "217", "220"]') == 0
    told = capsys.readouterr().out
    assert "Nothing was published: the accuracy of these bmodels was not measured." in told
    assert not (build.tiny.folder / "registry").exists() and not (build.tiny.folder / "release").exists()
    found = json.loads((build.made / "not-measured.json").read_text())
    assert (found["published"], found["accuracy"], found["toolchain"]["name"]) == (False, None, "tpu-nntc")
    assert found["cali_image_preprocess"].startswith("resize_h=64,resize_w=64;mean_value=104.04:")
    models = {model["file"]: model for model in found["models"]}
    assert sorted(models) == [
        "BM1684/centernet_fp32_1b.bmodel",
        "BM1684/centernet_fp32_4b.bmodel",
        "BM1684/centernet_int8_1b.bmodel",
        "BM1684/centernet_int8_4b.bmodel",
        "BM1684X/centernet_int8_4b.bmodel",
    ]
    for name, model in models.items():
        path = build.made / name
        assert read_bmodel(path).chip == name.partition("/")[0] and digest_file(path) == model["digest"]
        log = (build.made / model["log"]).read_text()
        assert log.startswith("$ ") and model["command"][-1] in log
        assert model["remarks"] == [] and str(path) in told
    # Of BM1684X too, of which nothing at batch 1 was asked for.
    assert [one["chip"] for one in found["calibrations"]] == ["BM1684", "BM1684X"]
    for one in found["calibrations"]:
        assert one["command"][2] == "ufw.cali.cali_model" and f"--target={one['chip']}" in one["command"]
        assert one["command"][-1] in (build.made / one["log"]).read_text()
        assert digest_file(build.made / "int8" / f"{one['chip']}.int8umodel") == one["int8umodel"]
    assert (build.made / "int8" / "BM1684.prototxt").is_file() and (build.made / "calibration.json").is_file()
    # One calibration a chip, one compile for each further batch size.
    assert [call[0] if call[0] == "bmnetu" else call[2] for call in build.fake.calls()] == [
        *("bmnetp", "bmnetp", "ufw.cali.cali_model", "bmnetu", "ufw.cali.cali_model", "bmnetu")
    ]

    # Again: all of it is known. Then another compiler: all of it is made anew.
    assert build.run("--set", 'toolchain.nntc.fp32_layers=["214", "217", "220"]') == 0
    assert len(build.fake.calls()) == 6
    (build.fake.archive / "more").touch()
    # By the vendor's names, which are of another trace.
    assert build.run("--set", 'toolchain.nntc.fp32_layers=["30", "33", "36"]') == 0
    assert len(build.fake.calls()) == 12
    told = capsys.readouterr().out
    assert "no layer of its network is called 30, 33, 36" in told and "no layer stays in fp32" in told


def test_where_it_is_missing_the_build_ends_before_any_work_with_a_way_out(
    build: NntcBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    (build.fake.root / "site" / "bmnetp.py").unlink()
    assert build.run() == 1
    told = capsys.readouterr().err
    assert "has no bmnetp" in told and "vendor's site" in told and "tpu-mlir, which is installed by itself" in told
    assert not build.made.exists() and build.fake.calls() == []


def test_a_compiler_that_lies_where_the_bmodels_would_go_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build = NntcBuild(tmp_path, monkeypatch)
    build.fake.archive.rename(build.made)
    assert build.run("--set", f"toolchain.nntc.folder={build.made}") == 1
    told = capsys.readouterr().err
    assert f"toolchain.nntc.folder is {build.made}" in told and "release.folder=FOLDER" in told
    assert (build.made / "scripts" / "envsetup.sh").is_file() and build.fake.calls() == []


def test_the_usual_build_refuses_settings_that_name_it(build: NntcBuild, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_build(["--profile", str(build.tiny.profile)]) == 2
    told = capsys.readouterr().err
    assert "`toolchain.name` is tpu-nntc" in told and "python -m flows.build_nntc" in told
    assert build.tiny.calls() == []


def test_this_build_refuses_settings_that_name_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = TinyBuild(tmp_path)
    monkeypatch.setenv("CENTERNET_CACHE", tiny.workspace.cache)
    assert run_build_nntc(["--profile", str(tiny.profile)]) == 2
    assert "Run python -m flows.build, or" in capsys.readouterr().err
