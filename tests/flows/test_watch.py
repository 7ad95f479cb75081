"""The watch: a newer compiler is built with, compared, and its release published or held."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort

from artifacts import layout
from flows.command import run_build
from flows.watch_command import run_watch
from tasks.errors import IndexUnreachable
from tasks.verdict.compare import Comparison, compare
from tasks.verdict.figures import Side
from tests.flows.compilers import Compilers, replaced
from tests.flows.tiny import TinyBuild

Capture = pytest.CaptureFixture[str]
Watch = Callable[..., int]


@pytest.fixture
def compilers(again: TinyBuild, monkeypatch: pytest.MonkeyPatch) -> Compilers:
    """An index that offers the compiler of the last good release, 1.30.2, and nothing else so far."""
    compilers = Compilers(again)
    replaced(compilers, monkeypatch)
    return compilers


@pytest.fixture
def watch(compilers: Compilers) -> Watch:
    """Runs the watch as a command, with further arguments."""
    return lambda *arguments: run_watch(["--profile", str(compilers.build.profile), *arguments])


def last_run() -> tuple[str, str]:
    """Name and message of the state of the last flow run."""
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
    assert run.state is not None
    return run.state.name, run.state.message or ""


def held_events(version: str, patience_s: float = 20.0) -> list[dict[str, Any]]:
    """What was announced about a release; events take a moment to arrive."""
    payload = {"limit": 50, "filter": {"event": {"name": ["centernet.release.held"]}}}
    deadline = time.monotonic() + patience_s
    while True:
        with get_client(sync_client=True) as client:
            found = client.request("POST", "/events/filter", json=payload).json()["events"]
        events = [one for one in found if one["payload"]["held"]["version"] == version]
        if events or time.monotonic() > deadline:
            return events
        time.sleep(0.1)


def test_where_there_is_nothing_newer_nothing_is_started(watch: Watch, compilers: Compilers, capsys: Capture) -> None:
    tags, runs = compilers.tags, compilers.build.journals()
    assert watch() == 0
    version = compilers.build.release.version
    assert capsys.readouterr().out == (
        f"compiler 1.30.2 is nothing new: the last good release, {version}, was made by 1.30.2\n"
    )
    compilers.offered = ["1.29.0"]  # taken back since
    assert watch() == 0 and "compiler 1.29.0 is older" in capsys.readouterr().out
    compilers.offered = ["1.30.2", "1.99.0"]
    assert watch("--dry-run") == 0 and "compiler 1.99.0 is newer" in capsys.readouterr().out
    assert compilers.tags == tags and compilers.build.journals() == runs and compilers.calls("1.99.0") == 0


def test_a_compiler_that_makes_nothing_worse_takes_over(watch: Watch, compilers: Compilers, capsys: Capture) -> None:
    before = compilers.build.release
    compilers.offered.append("1.99.0")
    assert watch("--set", "release.version=chosen-by-hand") == 0
    after = compilers.build.release
    assert after.provenance.toolchain.version == "1.99.0" and after.version.startswith("1.99.0-")
    assert set(compilers.tags) == {"latest", before.version, after.version}
    assert compilers.tags["latest"] == compilers.tags[after.version]
    shown = capsys.readouterr().out
    assert f"took the place of {before.version}: none of " in shown and "set toolchain.version to 1.99.0" in shown
    page = (compilers.build.folder / "watch" / f"{after.version}.md").read_text()
    assert page.startswith("# tpu-mlir 1.99.0: not worse")
    assert last_run()[0] == "Completed" and held_events(after.version, 0.5) == []
    assert watch() == 0 and "nothing new" in capsys.readouterr().out
    assert run_build(["--profile", str(compilers.build.profile)]) == 0
    assert "latest was made by compiler 1.99.0 and turns back to 1.30.2 now" in capsys.readouterr().err


def test_a_compiler_that_degrades_one_chip_is_held_until_the_margins_allow_it(
    watch: Watch, compilers: Compilers, capsys: Capture
) -> None:
    good, latest = compilers.build.release, compilers.tags["latest"]
    compilers.offered.append("1.99.0")
    compilers.switch("1.99.0", "wear")
    assert watch() == 1
    shown = capsys.readouterr().err
    (version,) = set(compilers.tags) - {"latest", good.version}
    assert (
        f"Release {version} by compiler 1.99.0 is held, latest stays {good.version}: BM1684X int8: cosine of" in shown
    )
    assert "BM1688" not in shown.split("is held")[1] and "Traceback" not in shown
    assert compilers.tags["latest"] == latest and compilers.build.release == good
    assert last_run()[0] == "Held" and "BM1684X int8: cosine of size 1.00000 -> 0.997" in last_run()[1]
    page = (compilers.build.folder / "watch" / f"{version}.md").read_text()
    assert page.startswith("# tpu-mlir 1.99.0: held") and "| BM1684X int8 | SNR of size |" in page
    (event,) = held_events(version)
    assert event["resource"]["prefect.resource.id"] == "centernet.release.centernet"
    assert event["payload"]["good"]["digest"] == latest and event["payload"]["reasons"]

    # Looked at again, nothing is compiled and nothing announced; the verdict is the same.
    calls = compilers.calls("1.99.0")
    assert watch() == 1 and compilers.calls("1.99.0") == calls and len(held_events(version)) == 1
    assert (compilers.build.folder / "watch" / f"{version}.md").read_text() == page
    assert watch("--set", "margins.cosine=0.1", "--set", "margins.snr_db=200") == 0
    assert compilers.tags["latest"] == compilers.tags[version] and compilers.calls("1.99.0") == calls


def test_what_is_published_meanwhile_is_compared_with_as_well(
    watch: Watch, compilers: Compilers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, folder = compilers.build.release, compilers.build.folder
    compilers.offered.append("1.99.0")
    compared: list[str] = []

    def meanwhile(good: Side, *rest: Any) -> Comparison:
        compared.append(good.record.version)
        if len(compared) == 1:
            files = {
                path.relative_to(folder / "release").as_posix(): path for path in (folder / "release").rglob("*.*")
            }
            layout.publish(folder / "registry", first.model_copy(update={"version": "by-hand"}), files, ["latest"])
        return compare(good, *rest)

    monkeypatch.setattr("flows.rebuild.compare", meanwhile)
    assert watch() == 0
    assert compared == [first.version, "by-hand"]
    assert compilers.build.release.provenance.toolchain.version == "1.99.0"
    (page,) = folder.glob("watch/1.99.0-*.md")
    assert "against the last good one, by-hand by tpu-mlir 1.30.2" in page.read_text()


def test_an_index_that_is_unreachable_fails_with_the_reason_and_the_next_look_goes_on(
    watch: Watch, compilers: Compilers, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def unreachable() -> str:
        raise IndexUnreachable("Connection refused")

    tags = compilers.tags
    with monkeypatch.context() as context:
        context.setattr("flows.look.newest", unreachable)
        assert watch() == 1
    shown = capsys.readouterr().err
    assert "The watch failed. The package index could not be asked" in shown and "Traceback" not in shown
    assert compilers.tags == tags and watch() == 0


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("broken", "tpu-mlir 1.99.0 could not be installed: on purpose"),
        ("fail", "model_deploy exited with status 3"),
        ("leave-nothing", "exited with status 0 but left no"),
        ("spoil", "1 variant did not pass the gate, so nothing was published"),
    ],
)
def test_a_compiler_that_does_not_install_or_work_or_pass_the_gate_publishes_nothing(
    fault: str, told: str, watch: Watch, compilers: Compilers, capsys: Capture
) -> None:
    tags, release = compilers.tags, compilers.build.release
    compilers.offered.append("1.99.0")
    if fault == "broken":
        compilers.broken.add("1.99.0")
    else:
        compilers.switch("1.99.0", fault)
    assert watch() == 1
    shown = capsys.readouterr().err
    assert "The watch failed. " in shown and told in shown and "Traceback" not in shown
    assert compilers.tags == tags and compilers.build.release == release
    assert last_run()[0] == "Failed" and not (compilers.build.folder / "watch").exists()


def test_without_any_release_the_newest_compiler_makes_the_first(
    watch: Watch, compilers: Compilers, capsys: Capture
) -> None:
    folder = compilers.build.folder
    for name in ("registry", "release"):
        (folder / name).rename(folder / f"{name}-before")
    assert watch() == 0
    shown = capsys.readouterr()
    assert "by compiler 1.30.2 is published, the first of all." in shown.out
    assert compilers.tags["latest"] == layout.tags(folder / "registry-before")["latest"]
    assert not (folder / "watch").exists() and list(Path(folder, "registry").iterdir())
