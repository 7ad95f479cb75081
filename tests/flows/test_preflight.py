"""What is checked before a build starts."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.errors import BadKey, NoSpace, StoreNotWritable
from artifacts.store import ContentStore
from flows.bisect import bisect
from flows.bisect_command import run_bisect
from flows.command import run_build
from flows.nntc_command import run_build_nntc
from flows.preflight import needed_bytes, prepare, workspace_of
from flows.watch import look_and_rebuild
from flows.watch_command import run_watch
from tasks.errors import ImagesMissing, NotEnoughSpace, SourceMissing, WrongToolchain
from tasks.gather import download_weights
from tests.tasks.results import settings_in


def test_the_folders_are_ready_and_what_killed_builds_left_is_gone(tmp_path: Path) -> None:
    left = tmp_path / "store" / "scratch" / "calibrate-1-abc"
    left.mkdir(parents=True)
    (left / "sample.npz").touch()
    left.with_name(left.name + ".lock").touch()
    with ContentStore(tmp_path / "store").scratch("alive") as alive:
        workspace = prepare(settings_in(tmp_path))
        assert alive.is_dir() and not left.exists()
    assert workspace.store == str(tmp_path / "store") and list((tmp_path / "store" / "scratch").iterdir()) == []


def test_looking_at_the_folders_makes_none(tmp_path: Path) -> None:
    assert workspace_of(settings_in(tmp_path)).store == str(tmp_path / "store") and list(tmp_path.iterdir()) == []


def test_a_file_where_the_store_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreNotWritable, match="store"):
        prepare(settings_in(tmp_path))


def test_too_little_space_is_told_in_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.preflight.needed_bytes", lambda settings: 10**18)
    with pytest.raises(NotEnoughSpace, match=r"needs about 1000000000\.0 GB, .*store has .* GB free") as caught:
        prepare(settings_in(tmp_path))
    assert caught.value.needed == 10**18 and caught.value.free < 10**18


def test_more_variants_samples_and_weights_need_more_space(tmp_path: Path) -> None:
    least = needed_bytes(settings_in(tmp_path, 'matrix=[{chip="BM1688", precisions=["fp32"]}]'))
    assert least < needed_bytes(settings_in(tmp_path)) < needed_bytes(settings_in(tmp_path, "network.width=1"))
    assert needed_bytes(settings_in(tmp_path)) < needed_bytes(settings_in(tmp_path, "preprocess.width=512"))


@pytest.mark.parametrize(
    "written", ["{folder}/mine.pth", "file://{folder}/mine.pth", "zip+{folder}/mine.zip!/mine.pth"]
)
def test_weights_that_should_be_on_this_machine_are_missed_before_anything_starts(written: str, tmp_path: Path) -> None:
    mirror = written.format(folder=tmp_path)
    settings = settings_in(tmp_path, f"weights={{mirrors=['{mirror}'], record_first_use=true}}")
    with pytest.raises(SourceMissing) as caught:
        prepare(settings)
    assert str(caught.value).startswith(
        f"mine.pth could not be had from any of its mirrors. {mirror}: there is no such"
    )
    for name in ("mine.pth", "mine.zip"):
        (tmp_path / name).touch()
    prepare(settings)


def test_weights_that_may_be_elsewhere_or_were_downloaded_are_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CENTERNET_CACHE", str(tmp_path / "cache"))
    here, there = f"{tmp_path}/mine.pth", "https://127.0.0.1:9/mine.pth"
    elsewhere = settings_in(tmp_path, f"weights={{mirrors=['{here}', '{there}'], record_first_use=true}}")
    assert prepare(elsewhere).content.root.is_dir()
    alone = settings_in(tmp_path, f"weights={{mirrors=['{here}'], record_first_use=true}}")
    Path(here).write_bytes(b"weights")
    download_weights.fn(alone.weights, prepare(alone))
    Path(here).unlink()
    assert prepare(alone).content.root.is_dir()


def test_folders_and_annotations_that_are_not_there_are_missed_before_anything_starts(tmp_path: Path) -> None:
    folder = f"{{kind='folder', folders=['{tmp_path}/images'], annotations=['{tmp_path}/a.json']}}"
    for part in ("evaluation", "calibration"):
        with pytest.raises(ImagesMissing, match=f"image folder {tmp_path}/images does not exist"):
            prepare(settings_in(tmp_path, f"{part}.source={folder}"))
    instances = f"{{mirrors=['{tmp_path}/instances.json'], record_first_use=true}}"
    coco = f"{{kind='coco', split='val2017', image_mirrors=['{tmp_path}'], instances={instances}}}"
    with pytest.raises(SourceMissing, match=r"instances\.json could not be had"):
        prepare(settings_in(tmp_path, f"evaluation.source={coco}"))
    floats = 'matrix=[{chip="BM1688", precisions=["fp32"]}]'
    prepare(settings_in(tmp_path, f"calibration.source={folder}", floats))  # nobody will read them


def test_a_signing_key_that_cannot_be_used_stops_the_build_before_it_begins(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, f"release.signing_key={tmp_path / 'publisher'}")
    with pytest.raises(BadKey, match="keygen"):
        prepare(settings)
    assert not (tmp_path / "store").exists()


def test_a_full_disk_is_no_question_of_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NoSpace):
        prepare(settings_in(tmp_path))


@pytest.mark.parametrize(
    ("named", "used", "instead"),
    [("tpu-nntc", "tpu-mlir", "python -m flows.build_nntc"), ("tpu-mlir", "tpu-nntc", "python -m flows.build, or")],
)
def test_settings_that_name_the_other_compiler_are_refused_before_anything_is_made(
    tmp_path: Path, named: str, used: str, instead: str
) -> None:
    settings = settings_in(tmp_path)
    toolchain = settings.toolchain.model_copy(update={"name": named})
    with pytest.raises(WrongToolchain, match=f"is {named}, .* Run {instead}"):
        prepare(settings.model_copy(update={"toolchain": toolchain}), toolchain=used)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        (run_build, (), "tpu-nntc"),
        (run_watch, (), "tpu-nntc"),
        (run_watch, ("--dry-run", "--compiler", "1.30.2"), "tpu-nntc"),
        (run_bisect, ("--good", "1.28.1", "--bad", "1.30.2"), "tpu-nntc"),
        (run_build_nntc, (), "tpu-mlir"),
    ],
)
def test_every_command_refuses_settings_of_the_other_compiler_as_wrong_usage_before_it_asks_anybody(
    command: Callable[[list[str]], int],
    arguments: tuple[str, ...],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("flows.look.last_good", asked)
    monkeypatch.setattr("flows.look.newest", asked)
    wanted = (
        f"toolchain.name={named}",
        "toolchain.nntc.version=3.1.7",
        "toolchain.nntc.image=an/image",
        f"store.path={tmp_path / 'store'}",
        'matrix=[{chip = "BM1684", precisions = ["fp32"]}]',
    )
    status = command([*arguments, *(part for one in wanted for part in ("--set", one))])
    told = capsys.readouterr().err
    assert status == 2 and f"`toolchain.name` is {named}" in told and "nothing was started" in told
    assert list(tmp_path.iterdir()) == []


def test_the_watch_as_a_flow_refuses_it_before_it_looks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("flows.look.last_good")
    settings = settings_in(tmp_path)
    toolchain = settings.toolchain.model_copy(update={"name": "tpu-nntc"})
    with pytest.raises(WrongToolchain):
        look_and_rebuild(settings.model_copy(update={"toolchain": toolchain}))


def test_the_search_as_a_flow_refuses_it_before_it_asks_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("flows.bisect.index.between")
    settings = settings_in(tmp_path)
    toolchain = settings.toolchain.model_copy(update={"name": "tpu-nntc"})
    with pytest.raises(WrongToolchain):
        bisect.fn(settings.model_copy(update={"toolchain": toolchain}), "1.28.1", "1.30.2", ())
