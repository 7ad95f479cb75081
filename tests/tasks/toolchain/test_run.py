"""The one door: whatever a command does, it is judged by what it left, and nothing of it is left running."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from artifacts.release import Variant
from tasks.errors import CommandFailed, CommandTimedOut, OutputAmbiguous, OutputMissing
from tasks.toolchain import command
from tasks.toolchain import run as door
from tasks.toolchain.command import Command
from tasks.toolchain.diagnose import DISK_FULL
from tasks.toolchain.run import run, share_done
from tests.tasks.toolchain.fakes import FakeToolchain, is_alive

LOWER = command.lower(Variant(chip="BM1688", precision="fp32", batch=1), quantize_table=False, timeout_s=60)


class Place:
    """A scratch folder with a command's inputs, and a log beside it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "scratch"
        self.folder.mkdir()
        (self.folder / "centernet.mlir").write_bytes(b"module")
        (self.folder / "centernet_top_f32_all_weight.npz").write_bytes(b"weights")
        self.log = root / "command.log"

    def run(self, fake: FakeToolchain, planned: Command = LOWER, **changes: Any) -> float:
        return run(planned.model_copy(update=changes), fake.toolchain, self.folder, self.log)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_command_works_in_its_folder_and_its_log_holds_command_output_and_status(
    fake: FakeToolchain, place: Place
) -> None:
    fake.behave(says="hello from the compiler")
    assert place.run(fake) > 0
    assert (place.folder / "centernet_bm1688_f32_tpu.mlir").stat().st_size > 0
    lines = place.log.read_text().splitlines()
    assert lines[0].startswith("$ model_deploy --mlir centernet.mlir --chip bm1688 --quantize F32")
    assert "hello from the compiler" in lines
    assert lines[-1].startswith("[exit status 0 after ")


def test_nothing_of_the_callers_environment_reaches_a_command(
    fake: FakeToolchain, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "canary-5a1f")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/canary-5a1f")
    fake.behave(report=True)
    place.run(fake)
    report = json.loads((fake.root / "report.json").read_text())
    # What Python itself adds for a locale is not ours.
    assert set(report["environment"]) - {"LC_CTYPE"} == set(door.environment(fake.toolchain, place.folder, 2))
    assert report["environment"]["OMP_NUM_THREADS"] == "2"
    assert report["environment"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert "canary-5a1f" not in json.dumps(report)


def test_a_command_gets_the_variables_of_its_plan_and_the_log_tells_them(fake: FakeToolchain, place: Place) -> None:
    fake.behave(report=True)
    place.run(fake, variables=(("MALLOC_PERTURB_", "165"),))
    report = json.loads((fake.root / "report.json").read_text())
    assert report["environment"]["MALLOC_PERTURB_"] == "165"
    assert place.log.read_text().startswith("$ MALLOC_PERTURB_=165 model_deploy ")


def test_a_command_has_a_session_of_its_own_and_nothing_open_but_its_log(
    fake: FakeToolchain, place: Place, tmp_path: Path
) -> None:
    fake.behave(report=True)
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    try:
        with (tmp_path / "secret").open("w") as secret:
            os.set_inheritable(secret.fileno(), True)
            place.run(fake)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    report = json.loads((fake.root / "report.json").read_text())
    assert report["session"] == report["group"] == report["pid"] != os.getsid(0)
    assert report["stdin"] == ""
    assert report["core_limit"] == 0
    assert {name for name in report["descriptors"] if name.startswith(str(tmp_path))} == {str(place.log)}


@pytest.mark.parametrize("leaves", ["nothing", "empty"])
def test_exit_status_0_without_a_result_is_no_success(fake: FakeToolchain, place: Place, leaves: str) -> None:
    fake.behave(leaves=leaves)
    with pytest.raises(OutputMissing, match=r"status 0 but left no \*_tpu\.mlir") as caught:
        place.run(fake)
    assert caught.value.log_path == place.log and place.log.exists()


def test_several_results_where_one_is_expected_are_ambiguous(fake: FakeToolchain, place: Place) -> None:
    fake.behave(leaves="several")
    with pytest.raises(OutputAmbiguous) as caught:
        place.run(fake)
    assert caught.value.found == ("centernet_bm1688_f32_sym_tpu.mlir", "centernet_bm1688_f32_tpu.mlir")


def test_a_failure_says_cause_and_next_step_and_where_the_log_is(fake: FakeToolchain, place: Place) -> None:
    fake.behave(status=1, says="RuntimeError: The following operators are not implemented: ['aten::erfinv']")
    with pytest.raises(CommandFailed, match="'aten::erfinv'") as caught:
        place.run(fake)
    assert caught.value.status == 1
    assert caught.value.argv == LOWER.argv
    assert str(place.log) in str(caught.value)
    assert "Replace them in the network" in str(caught.value)


def test_an_unknown_failure_says_that_it_is_unknown(fake: FakeToolchain, place: Place) -> None:
    fake.behave(status=3, says="something new")
    with pytest.raises(CommandFailed, match="not one of the known failures") as caught:
        place.run(fake)
    assert caught.value.diagnosis is None
    assert "something new" in place.log.read_text()


def test_a_crash_is_a_failure_by_signal_and_leaves_no_core(fake: FakeToolchain, place: Place) -> None:
    fake.behave(aborts=True)
    with pytest.raises(CommandFailed) as caught:
        place.run(fake)
    assert caught.value.status == 128 + 6
    assert not list(place.folder.glob("core*"))


def test_a_full_disk_is_named_though_the_log_was_cut_short_by_it(
    fake: FakeToolchain, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "free_bytes", lambda _: 4096)
    fake.behave(status=1, says="readTensor failed")
    with pytest.raises(CommandFailed, match="The disk is full") as caught:
        place.run(fake)
    assert caught.value.diagnosis == DISK_FULL


def test_a_program_that_is_not_there_is_told_from_one_that_fails(fake: FakeToolchain, place: Place) -> None:
    (fake.root / "bin" / "model_deploy").unlink()
    with pytest.raises(CommandFailed, match="model_deploy cannot be started: No such file or directory") as caught:
        place.run(fake)
    assert caught.value.status == 127


def test_twenty_megabytes_of_output_neither_block_nor_hide_the_cause(fake: FakeToolchain, place: Place) -> None:
    fake.behave(megabytes=20, status=1, says="readTensor failed")
    with pytest.raises(CommandFailed, match="weights that the MLIR file names"):
        place.run(fake)
    assert place.log.stat().st_size > 20_000_000


def test_a_time_out_ends_the_whole_tree_also_what_left_the_session_and_ignores_the_request(
    fake: FakeToolchain, place: Place
) -> None:
    fake.behave(tree={"seconds": 600, "stubborn": True}, hangs=True)
    for timeout_s in (1.5, 30.0, 300.0):  # the tree has to stand by then, on a busy machine too
        with pytest.raises(CommandTimedOut, match=f"still running after {timeout_s:g} s") as caught:
            place.run(fake, timeout_s=timeout_s)
        assert caught.value.log_path.exists()
        pids = [int(pid) for pid in fake.noted("pids")]
        assert not [pid for pid in pids if is_alive(pid)]
        if len(pids) >= 3:
            return
    pytest.fail("the tree of processes did not start")


def test_what_a_command_left_running_cannot_write_its_result_later(fake: FakeToolchain, place: Place) -> None:
    fake.behave(leaves="nothing", tree={"seconds": 2, "writes": "late_tpu.mlir"})
    with pytest.raises(OutputMissing):
        place.run(fake)
    assert not [pid for pid in map(int, fake.noted("pids")) if is_alive(pid)]
    assert not (place.folder / "late_tpu.mlir").exists()
    assert "that the command had left running" in place.log.read_text()


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("real input_num = 200\n  0%|          | 0/200 [00:00<?, ?it/s]", 0.0),
        ("for sample: 25:  13%|#| 26/200 [02:19<18:15,  6.30s/it]\rfor sample: 50:  25%|#| 50/200 [", 0.25),
        ("x: 100%|#| 200/200 [05:00<00:00]\nthreshold: 99%|#| 140/142 [00:00<00:00, 190it/s]", 1.0),
    ],
)
def test_how_far_a_command_is_is_read_from_its_own_count(text: str, share: float, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(text)
    assert share_done(tmp_path / "log", 200) == share


def test_the_calibration_counts_its_images_and_no_other_command_counts() -> None:
    assert command.calibrate(12, "kl", timeout_s=1).rounds == 12
    assert LOWER.rounds == 0
