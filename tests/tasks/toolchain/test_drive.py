"""A command on stored inputs: they stay as they are, the evidence is kept, and earlier searches are lent."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.errors import DamagedBlob
from artifacts.release import Variant
from artifacts.store import Blob
from tasks.errors import CommandFailed, OutputMissing
from tasks.toolchain import command
from tasks.toolchain.drive import driven
from tasks.workspace import Workspace
from tests.tasks.toolchain.fakes import FakeToolchain

VARIANT = Variant(chip="BM1688", precision="fp32", batch=1)
LOWER = command.lower(VARIANT, quantize_table=False, timeout_s=60)
DEPLOY = command.deploy(VARIANT, quantize_table=False, timeout_s=60)


def drive(fake: FakeToolchain, workspace: Workspace, planned: command.Command = DEPLOY) -> tuple[Blob, str]:
    """Run a command on a stored network; return the network and the log of the command."""
    content = workspace.content
    module = content.put_bytes(b"module")
    inputs = {"centernet.mlir": module, "centernet_top_f32_all_weight.npz": b"weights"}
    with driven(planned, fake.toolchain, workspace, inputs, omp_threads=2) as ran:
        assert not list((Path(workspace.store) / "logs").iterdir())
        return module, content.verified(ran.evidence.log).read_text()


def test_inputs_are_copies_so_that_a_command_that_rewrites_them_does_no_harm(
    fake: FakeToolchain, workspace: Workspace
) -> None:
    fake.behave(scribbles_on=["centernet.mlir", "centernet_top_f32_all_weight.npz"])
    module, _ = drive(fake, workspace, LOWER)
    assert workspace.content.verified(module).read_bytes() == b"module"


def test_the_log_is_kept_in_the_store_after_success(fake: FakeToolchain, workspace: Workspace) -> None:
    fake.behave(says="all is well")
    _, log = drive(fake, workspace)
    assert "all is well" in log and log.startswith("$ model_deploy ")
    assert not list((Path(workspace.store) / "scratch").iterdir())


@pytest.mark.parametrize("how", [{"status": 1}, {"leaves": "nothing"}])
def test_the_log_stays_below_the_store_after_a_failure_and_the_scratch_folder_goes(
    fake: FakeToolchain, workspace: Workspace, how: dict[str, object]
) -> None:
    fake.behave(says="not well", **how)
    with pytest.raises((CommandFailed, OutputMissing)) as caught:
        drive(fake, workspace)
    log = caught.value.log_path
    assert log.parent == Path(workspace.store) / "logs"
    assert "not well" in log.read_text()
    assert not list((Path(workspace.store) / "scratch").iterdir())


def test_a_damaged_input_is_found_before_anything_runs(fake: FakeToolchain, workspace: Workspace) -> None:
    path = workspace.content.path(workspace.content.put_bytes(b"module"))
    path.chmod(0o644)
    path.write_bytes(b"modulE")
    blob = Blob(digest=f"sha256:{path.name}", size=6)
    fake.behave(says="ran")
    with (
        pytest.raises(DamagedBlob),
        driven(LOWER, fake.toolchain, workspace, {"centernet.mlir": blob}, omp_threads=2),
    ):
        pass
    assert not (Path(workspace.store) / "logs").exists()


def test_the_second_compile_gets_what_the_first_one_searched(fake: FakeToolchain, workspace: Workspace) -> None:
    drive(fake, workspace)
    drive(fake, workspace)
    assert fake.noted("layer_groups") == ["searched", "subfunc_idx: 0 0;1,10[1,1,1,1,1];11;"]


def test_another_toolchain_searches_for_itself(fake: FakeToolchain, workspace: Workspace) -> None:
    drive(fake, workspace)
    fake.toolchain = fake.toolchain.model_copy(update={"fingerprint": "sha256:" + "e" * 64})
    drive(fake, workspace)
    assert fake.noted("layer_groups") == ["searched", "searched"]


def test_a_compile_that_groups_layers_otherwise_is_lent_nothing_of_the_others(
    fake: FakeToolchain, workspace: Workspace
) -> None:
    longer = ("--shape_secs_search_strategy", "2")
    otherwise = command.deploy(VARIANT, quantize_table=False, timeout_s=60, options=longer)
    for planned in (DEPLOY, otherwise, otherwise, DEPLOY):
        drive(fake, workspace, planned)
    assert [found == "searched" for found in fake.noted("layer_groups")] == [True, True, False, False]


@pytest.mark.parametrize("how", [{"status": 1}, {"leaves": "nothing"}])
def test_half_an_entry_of_a_failed_command_is_lent_to_nobody(
    fake: FakeToolchain, workspace: Workspace, how: dict[str, object]
) -> None:
    fake.behave(leaves_groups=True, **how)
    with pytest.raises((CommandFailed, OutputMissing)):
        drive(fake, workspace)
    assert not list(workspace.layer_groups.rglob("77*"))


def test_a_command_without_a_search_gets_no_layer_groups(fake: FakeToolchain, workspace: Workspace) -> None:
    drive(fake, workspace, LOWER)
    assert not workspace.layer_groups.exists()
