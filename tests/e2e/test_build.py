"""A whole build with the real compiler: published once, repeated for nothing, and the same after being killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from prefect.settings import get_current_settings

from artifacts import layout
from tasks.toolchain.provision import cache_root
from tests.flows.folder import BuildFolder

pytestmark = pytest.mark.compiler

ROOT = Path(__file__).parents[2]
PATIENCE_S = 900.0
FP32, INT8 = "BM1688/centernet_fp32_1b.bmodel", "BM1688/centernet_int8_1b.bmodel"

# A quarter of the sample's input: what is looked at here is the pipeline.
PROFILE = """
extends = "sample"
matrix = [{{chip = "BM1688", precisions = ["fp32", "int8"]}}]
preprocess = {{width = 128, height = 128}}
[calibration]
count = 24
source = {{kind = "generated", count = 40}}
[evaluation]
source = {{kind = "generated", count = 8}}
[gate]
max_ap_drop = 0.5
"""


class Build(BuildFolder):
    """A folder with everything that a build leaves, and the command that makes it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, cache_root(), PROFILE)
        self.errors = folder / "stderr"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start the build; what it shows goes to `errors` and `stdout`."""
        command = [sys.executable, "-m", "flows.build", "--profile", str(self.profile), *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        with self.errors.open("wb") as errors, (self.folder / "stdout").open("wb") as output:
            return subprocess.Popen(command, cwd=ROOT, env={**inherited, **environment}, stdout=output, stderr=errors)

    def run(self, *arguments: str, **environment: str) -> str:
        """Run the build to its end, which is a good one, and return what it shows."""
        process = self.start(*arguments, **environment)
        assert process.wait(PATIENCE_S) == 0, self.errors.read_text()
        return (self.folder / "stdout").read_text()


@pytest.fixture(scope="module")
def server(prefect_server: None) -> str:
    return str(get_current_settings().api.url)


@pytest.fixture(scope="module")
def undisturbed(server: str, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A build that nobody disturbed; not to be changed."""
    build = Build(tmp_path_factory.mktemp("undisturbed"))
    build.run(PREFECT_API_URL=server)
    return build


@pytest.fixture
def again(undisturbed: Build, tmp_path: Path) -> Build:
    """A copy of the undisturbed build."""
    for name in ("store", "registry", "release"):
        shutil.copytree(undisturbed.folder / name, tmp_path / name)
    return Build(tmp_path)


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all processes below one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            try:
                found[child] = (Path("/proc") / str(child) / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            waiting.append(child)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def wait_until_gone(pids: Iterable[int]) -> None:
    wait_until(lambda: not any(map(is_alive, pids)))


def test_the_bmodels_are_published_with_what_is_known_of_them(undisturbed: Build) -> None:
    record = undisturbed.release
    assert [one.variant.path for one in record.variants] == [FP32, INT8]
    for one in record.variants:
        assert one.gate is not None and one.gate.passed and one.estimated_ms and one.device_memory
        assert one.simulator is not None and one.simulator.max_abs <= one.simulator.tolerance
        assert {far.head for far in one.distances} == {"heatmap", "size", "offset"}
    assert record.calibration is not None and record.calibration.count == 24
    assert layout.check(undisturbed.folder / "registry") == []
    assert list((undisturbed.folder / "store" / "scratch").iterdir()) == []


def test_a_second_build_starts_no_compiler_and_publishes_nothing(again: Build, server: str) -> None:
    digest, entries = again.digest, sorted(path.name for path in again.workspace.layer_groups.rglob("*"))
    shown = again.run(PREFECT_API_URL=server)
    assert again.made() == set() and "was published already, nothing is new" in shown
    assert again.digest == digest
    assert not again.workspace.logs.exists() or list(again.workspace.logs.iterdir()) == []
    assert sorted(path.name for path in again.workspace.layer_groups.rglob("*")) == entries


def test_another_threshold_judges_again_and_nothing_else(again: Build, server: str) -> None:
    digest = again.digest
    again.run("--set", "gate.max_ap_drop=0.4", PREFECT_API_URL=server)
    assert again.made() == {"gate"} and again.digest == digest


def test_a_lost_bmodel_is_compiled_again_to_the_same_bytes(again: Build, server: str) -> None:
    digest = again.digest
    again.workspace.content.path(again.release.variants[1].blob).unlink()
    again.run(PREFECT_API_URL=server)
    assert again.made() == {f"compile {INT8}"} and again.digest == digest


def kill_during(process: subprocess.Popen[bytes], *words: str) -> dict[int, str]:
    """Kill a build while a command with these words in its line is at work.

    Returns:
        The processes that were below it.
    """

    def at_work() -> bool:
        lines = descendants(process.pid).values()
        return process.poll() is not None or any(all(word in line for word in words) for line in lines)

    try:
        wait_until(at_work)
        time.sleep(1.0)  # well into it
        below = descendants(process.pid)
        assert process.poll() is None, "the build ended before"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return below


def test_killed_while_calibrating_and_while_compiling_a_build_ends_in_the_same_release(
    undisturbed: Build, tmp_path: Path
) -> None:
    build, home = Build(tmp_path), {"PREFECT_HOME": str(tmp_path / "prefect")}
    for words in (("run_calibration",), ("model_deploy", "INT8", "--enable_lghash")):
        below = kill_during(build.start(**home), *words)
        assert any("uvicorn" in line for line in below.values())  # Prefect's server, which must not stay behind either
        wait_until_gone(below)
        assert any((build.folder / "store" / "scratch").iterdir())
    build.run(**home)
    assert build.digest == undisturbed.digest
    assert list((build.folder / "store" / "scratch").iterdir()) == []
    shown = build.errors.read_text()
    assert "telemetry" not in shown and "Traceback" not in shown
    assert [log.read_text() for log in build.workspace.logs.glob("prefect-server-*.log") if log.stat().st_size] == []
