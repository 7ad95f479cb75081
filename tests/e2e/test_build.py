"""A whole build with the real compiler: published once, repeated for nothing, and the same after being killed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from prefect.settings import get_current_settings

from artifacts import layout
from tests.e2e.whole_build import WholeBuild, descendants, wait_until, wait_until_gone

pytestmark = pytest.mark.compiler

FP32, INT8 = "BM1688/centernet_fp32_1b.bmodel", "BM1688/centernet_int8_1b.bmodel"


@pytest.fixture(scope="module")
def server(prefect_server: None) -> str:
    return str(get_current_settings().api.url)


@pytest.fixture(scope="module")
def undisturbed(server: str, tmp_path_factory: pytest.TempPathFactory) -> WholeBuild:
    """A build that nobody disturbed; not to be changed."""
    build = WholeBuild(tmp_path_factory.mktemp("undisturbed"))
    build.run(PREFECT_API_URL=server)
    return build


@pytest.fixture
def again(undisturbed: WholeBuild, tmp_path: Path) -> WholeBuild:
    """A copy of the undisturbed build."""
    for name in ("store", "registry", "release"):
        shutil.copytree(undisturbed.folder / name, tmp_path / name)
    return WholeBuild(tmp_path)


def test_the_bmodels_are_published_with_what_is_known_of_them(undisturbed: WholeBuild) -> None:
    record = undisturbed.release
    assert [one.variant.path for one in record.variants] == [FP32, INT8]
    for one in record.variants:
        assert one.gate is not None and one.gate.passed and one.estimated_ms and one.device_memory
        assert one.simulator is not None and one.simulator.max_abs <= one.simulator.tolerance
        assert {far.head for far in one.distances} == {"heatmap", "size", "offset"}
    assert record.calibration is not None and record.calibration.count == 24
    assert layout.check(undisturbed.folder / "registry") == []
    assert list((undisturbed.folder / "store" / "scratch").iterdir()) == []


def test_a_second_build_starts_no_compiler_and_publishes_nothing(again: WholeBuild, server: str) -> None:
    digest, entries = again.digest, sorted(path.name for path in again.workspace.layer_groups.rglob("*"))
    shown = again.run(PREFECT_API_URL=server)
    assert again.made() == set() and "was published already, nothing is new" in shown
    assert again.digest == digest
    assert not again.workspace.logs.exists() or list(again.workspace.logs.iterdir()) == []
    assert sorted(path.name for path in again.workspace.layer_groups.rglob("*")) == entries


def test_another_threshold_judges_again_and_nothing_else(again: WholeBuild, server: str) -> None:
    digest = again.digest
    again.run("--set", "gate.max_ap_drop=0.4", PREFECT_API_URL=server)
    assert again.made() == {"gate"} and again.digest == digest


def test_a_lost_bmodel_is_compiled_again_to_the_same_bytes(again: WholeBuild, server: str) -> None:
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
    undisturbed: WholeBuild, tmp_path: Path
) -> None:
    build, home = WholeBuild(tmp_path), {"PREFECT_HOME": str(tmp_path / "prefect")}
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
