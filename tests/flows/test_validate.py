"""The validation on a device as a flow and as a command; the device's package is a stand-in."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.settings import PREFECT_HOME, temporary_settings

from artifacts import layout
from artifacts.errors import UnknownTag
from flows.preflight import check_request
from flows.turns import limit_of_our_own, turn_on
from flows.validate import validate
from flows.validate_command import run_validate
from inference.errors import NoSuchVariant
from settings.load import load_settings
from tasks.devices.records import Request
from tasks.errors import DeviceLimitMissing
from tests.tasks.devices.support import INT8, Bench, StandIn, found, made

__all__ = ["found", "made"]

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
WISH = ("--chip", "BM1684X", "--precision", "int8", "--limit", "2")


@pytest.fixture
def limits(prefect_server: None) -> None:
    """No device has a limit yet."""
    with get_client(sync_client=True) as client:
        for limit in client.read_global_concurrency_limits(limit=50, offset=0):
            client.delete_global_concurrency_limit_by_name(limit.name)


def make_limit() -> None:
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("device-board", 1)


def options(found: Bench, made: StandIn) -> list[str]:
    """The settings of a device in this machine."""
    values = {
        "devices.board.kind": "local",
        "devices.board.python": str(made.python),
        "devices.board.engine": "simulator",
        "store.path": found.workspace.store,
    }
    return [f"{key}={value}" for key, value in values.items()]


def command(found: Bench, made: StandIn, *more: str) -> int:
    settings = [part for option in options(found, made) for part in ("--set", option)]
    return run_validate([found.reference, "--device", "board", *WISH, *settings, *more])


def test_a_validation_attaches_its_evidence_and_lists_it(
    limits: None, found: Bench, made: StandIn, capsys: Capture
) -> None:
    make_limit()
    assert command(found, made) == 0, capsys.readouterr().err
    shown = capsys.readouterr()
    assert f"{INT8}: AP 0.5000 on 2 images, simulator of BM1684X" in shown.out
    assert f"attached; evidence that {found.reference} has: simulator only (2 images)" in shown.out
    assert f"running {INT8} on board, 2 images" in shown.err and "prefect" not in shown.err.lower()
    assert command(found, made, "--list") == 0
    shown = capsys.readouterr()
    assert f"{found.reference} is {found.digest}\nevidence: simulator only (2 images)\n" in shown.out
    assert f"board: {INT8}: AP 0.5000 on 2 images" in shown.out
    (file,) = Path(found.workspace.store, "validations").iterdir()
    assert found.digest[7:19] in file.name and layout.check(found.registry) == []


def test_a_trial_can_leave_the_release_as_it_is(limits: None, found: Bench, made: StandIn, capsys: Capture) -> None:
    make_limit()
    assert command(found, made, "--no-evidence") == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert f"{INT8}: AP 0.5000 on 2 images" in shown
    assert f"not attached; evidence that {found.reference} has: none" in shown
    assert len(list(Path(found.workspace.store, "validations").iterdir())) == 1
    assert set(layout.tags(found.registry)) == {"1.0.0", "latest"} and command(found, made, "--list") == 0
    assert "evidence: none" in capsys.readouterr().out


def test_all_models_that_fit_are_run_one_after_the_other(limits: None, found: Bench, made: StandIn) -> None:
    make_limit()
    settings = load_settings("sample", overrides=options(found, made), environ={})
    done = validate(Request(reference=found.reference, device="board", chip="BM1684X", every=True, limit=1), settings)
    assert [one.variant for one in done.found] == ["BM1684X/centernet_fp16_1b.bmodel", INT8]
    assert [line.split()[0] for line in made.runs] == ["begin", "end"] * 2


def test_several_models_where_one_is_wanted_fail_with_the_list(
    limits: None, found: Bench, made: StandIn, capsys: Capture
) -> None:
    make_limit()
    settings = [part for option in options(found, made) for part in ("--set", option)]
    assert run_validate([found.reference, "--device", "board", "--limit", "1", *settings]) == 1
    shown = capsys.readouterr().err
    assert "The validation failed. release centernet 1.0.0 has 4 models" in shown and made.runs == []


@pytest.mark.parametrize(
    ("tag", "device", "chip", "told"),
    [
        ("9.9.9", {"kind": "simulator"}, None, "nothing named '9.9.9'"),
        ("1.0.0", {"kind": "simulator"}, None, "has 4 models"),
        ("1.0.0", {"kind": "simulator"}, "BM1684", None),
        ("1.0.0", {"kind": "local", "chip": "BM1684X"}, None, "has 2 models for BM1684X"),
        ("1.0.0", {"kind": "local"}, None, None),  # the chip that is found there may decide
        ("9.9.9", {"kind": "local"}, None, "nothing named '9.9.9'"),
    ],
)
def test_a_release_or_a_choice_that_cannot_be_is_known_without_prefect(
    tag: str, device: dict[str, str], chip: str | None, told: str | None, found: Bench
) -> None:
    given = [f"devices.d.{key}={value}" for key, value in device.items()]
    settings = load_settings("sample", overrides=given, environ={})
    request = Request.model_validate({"reference": f"oci:{found.registry}:{tag}", "device": "d", "chip": chip})
    if told is None:
        check_request(request, settings)
        return
    with pytest.raises((NoSuchVariant, UnknownTag), match=told):
        check_request(request, settings)


def test_a_limit_that_is_missing_stops_it_and_says_how_to_make_it(
    limits: None, found: Bench, made: StandIn, capsys: Capture
) -> None:
    assert command(found, made) == 1
    shown = capsys.readouterr().err
    assert "The validation failed. device board: Prefect's server has no concurrency limit 'device-board'" in shown
    assert shown.rstrip().endswith("prefect gcl create device-board --limit 1")
    assert made.runs == [] and not Path(found.workspace.store, "devices").exists()


def test_of_two_validations_on_one_device_the_second_waits(
    limits: None, found: Bench, made: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    make_limit()
    caplog.set_level("INFO")
    settings = load_settings("sample", overrides=options(found, made), environ={})
    request = Request(reference=found.reference, device="board", chip="BM1684X", precision="int8", limit=1)
    made.switch("hold")
    outcomes: list[object] = []

    def work() -> None:
        try:
            outcomes.append(validate(request, settings).evidence)
        except BaseException as error:
            outcomes.append(error)

    def started() -> threading.Thread:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        return thread

    first = started()
    wait(lambda: len(made.runs) == 1, first)
    second = started()
    wait(lambda: "device board is in use by another validation" in caplog.text, second)
    assert len(made.runs) == 1
    (made.folder / "hold").unlink()
    first.join(120)
    second.join(120)
    assert outcomes == ["simulator only (1 images)"] * 2
    assert [line.split()[0] for line in made.runs] == ["begin", "end", "begin", "end"]


def wait(condition: object, thread: threading.Thread) -> None:
    deadline = time.monotonic() + 120
    while not condition():  # type: ignore[operator]
        assert thread.is_alive() and time.monotonic() < deadline
        time.sleep(0.05)


def test_a_slot_that_a_killed_run_left_on_a_server_of_its_own_is_free_again(limits: None, tmp_path: Path) -> None:
    make_limit()
    with get_client(sync_client=True) as client:
        client.update_global_concurrency_limit("device-board", GlobalConcurrencyLimitUpdate(active_slots=1))
    with temporary_settings({PREFECT_HOME: tmp_path}), limit_of_our_own("board"), turn_on("board"):
        assert (tmp_path / "centernet-device-board.lock").exists()


def test_a_server_of_ones_own_gets_the_limit(limits: None, tmp_path: Path) -> None:
    with pytest.raises(DeviceLimitMissing), turn_on("board"):
        pass
    with temporary_settings({PREFECT_HOME: tmp_path}), limit_of_our_own("board"), turn_on("board"):
        pass


def test_a_device_that_fails_fails_the_command_in_one_paragraph(
    limits: None, found: Bench, made: StandIn, capsys: Capture
) -> None:
    make_limit()
    made.switch("fail", "the engine gave NaN")
    assert command(found, made) == 1
    shown = capsys.readouterr().err
    assert "The validation failed. device board: the validation ended with status 1: the engine gave NaN" in shown
    assert "Traceback" not in shown and "unforeseen" not in shown


def test_a_device_that_the_settings_do_not_have_is_wrong_usage(found: Bench, capsys: Capture) -> None:
    assert run_validate([found.reference, "--device", "simulater"]) == 2
    assert "there is no device 'simulater', did you mean simulator?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("--images", "x"), ("--annotations", "x"), ("--limit", "0"), ("--chip", "BM1")])
def test_arguments_that_cannot_be_are_wrong_usage(arguments: tuple[str, ...], found: Bench) -> None:
    with pytest.raises(SystemExit) as caught:
        run_validate([found.reference, *arguments])
    assert caught.value.code == 2


def test_a_reference_that_is_none_is_wrong_usage(capsys: Capture) -> None:
    assert run_validate(["https://example.com/x"]) == 2
    assert "names no release in a registry" in capsys.readouterr().err


def test_evidence_of_a_release_that_is_not_there_cannot_be_listed(found: Bench, capsys: Capture) -> None:
    assert run_validate([f"oci:{found.registry}:9.9.9", "--list"]) == 1
    assert "nothing named '9.9.9'" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "arguments"), [("2", ["--device", "nowhere"]), ("1", ["oci:{folder}:9.9.9"])])
def test_a_mistake_does_not_wait_for_prefect_or_torch(status: str, arguments: list[str], found: Bench) -> None:
    given = [argument.format(folder=found.registry) for argument in arguments]
    program = (
        "import sys, runpy\n"
        "status, *sys.argv[1:] = sys.argv[1:]\n"
        "try: runpy.run_module('flows.validate', run_name='__main__')\n"
        "except SystemExit as done: assert done.code == int(status)\n"
        "print(sorted({'prefect', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, status, *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
