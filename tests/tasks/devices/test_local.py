"""Validation on a device in this machine, and the agent itself; no sshd is needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from artifacts.digest import digest_bytes
from settings.devices import LocalDevice, SimulatorDevice, SshDevice
from tasks.devices import agent
from tasks.devices.failures import install_command
from tasks.devices.link import Link, command_line
from tasks.devices.steps import look
from tasks.errors import ConnectionLost, DeviceError, DevicePythonMissing, ReportRefused
from tests.tasks.devices.support import INT8, NAME, Bench, StandIn, delivered, local_device, validated
from tests.tasks.toolchain.fakes import wait_until_gone

DATA = b"some bytes"
DIGEST = digest_bytes(DATA)


def ask(folder: Path, command: str, given: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    source = Path(agent.__file__).read_bytes()
    argv = [sys.executable, "-I", "-c", agent.BOOT, str(len(source)), command, str(folder), *arguments]
    return subprocess.run(argv, input=source + given, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "hostile", ["$(touch made)", "`touch made`", "a; touch made", "'; touch made #", "-rf *", "a\\"]
)
def test_what_reads_like_an_option_or_a_command_is_neither(hostile: str, tmp_path: Path) -> None:
    device = SshDevice(kind="ssh", host="board", python=hostile, folder=hostile)
    argv = command_line(Link("board", device, tmp_path, tmp_path / "log"), ["1", "look", device.folder])
    assert argv[-3:-1] == ["--", "board"] and argv[0] == "ssh"
    # What sshd does with it.
    shown = subprocess.run(["sh", "-c", f"printf '%s\\0' {argv[-1]}"], cwd=tmp_path, capture_output=True, check=True)
    words = shown.stdout.decode().split("\0")[:-1]
    assert words[0] == hostile and words[-1] == hostile and not (tmp_path / "made").exists()
    for name in ("host", "user"):
        with pytest.raises(ValidationError):
            SshDevice.model_validate({"kind": "ssh", "host": "board", name: hostile})


def test_a_release_is_validated_in_this_machine(made: StandIn, found: Bench) -> None:
    evidence = validated(found, local_device(made))
    assert evidence.variant == INT8 and evidence.device == NAME
    assert delivered(found, local_device(made)).copied == 0


def test_a_report_of_another_model_is_refused(made: StandIn, found: Bench) -> None:
    made.switch("other-model", DIGEST)
    with pytest.raises(ReportRefused, match=f"about another model: {DIGEST} instead of"):
        validated(found, local_device(made))


def test_evidence_says_what_prepared_the_images(made: StandIn, found: Bench) -> None:
    assert validated(found, local_device(made)).report["setting"]["preprocess"] == "host"
    device = local_device(made).model_copy(update={"preprocess": "bmcv"})
    assert validated(found, device).report["setting"]["preprocess"] == "bmcv"
    made.switch("ignores-preprocess")
    with pytest.raises(ReportRefused, match="about another preprocessing: host instead of bmcv"):
        validated(found, device)


def test_what_hangs_in_this_machine_is_ended_at_its_limit(made: StandIn, found: Bench) -> None:
    made.switch("hold")
    device = local_device(made).model_copy(update={"run_timeout": 5.0})
    with pytest.raises(ConnectionLost, match="still at work after 5 s"):
        validated(found, device)
    assert wait_until_gone([int((made.folder / "pid").read_text())])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_goes_on_without_the_agent(made: StandIn, found: Bench, number: int) -> None:
    made.switch("hold")
    agents: list[int] = []

    def end() -> None:
        while not (made.folder / "pid").exists():
            time.sleep(0.02)
        status = Path(f"/proc/{(made.folder / 'pid').read_text()}/status").read_text()
        agents.append(int(status.split("PPid:")[1].split()[0]))
        os.kill(agents[0], number)

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    with pytest.raises(DeviceError, match=f"ended with status -{number}"):
        validated(found, local_device(made).model_copy(update={"run_timeout": 60.0}))
    assert wait_until_gone([*agents, int((made.folder / "pid").read_text())])


def test_a_python_that_is_not_there_is_named(found: Bench) -> None:
    with pytest.raises(DevicePythonMissing, match=r"No such file or directory.*'/nowhere/python'"):
        look.fn(NAME, LocalDevice(kind="local", python="/nowhere/python"), found.workspace)


def test_the_builds_own_python_runs_this_checkout() -> None:
    link = Link(NAME, SimulatorDevice(), Path("/x"), Path("/log"))
    assert command_line(link, ["1", "look"])[0] == sys.executable
    assert install_command(SimulatorDevice(python="/a b/python")).endswith(
        "'/a b/python' -m pip install build/wheel/centernet_sophon_device-*.whl"
    )


def test_bytes_that_are_not_what_they_are_called_are_not_kept(tmp_path: Path) -> None:
    done = ask(tmp_path, "receive", f"{DIGEST} {len(DATA)}\n".encode() + DATA[::-1])
    assert done.returncode == agent.DAMAGED and DIGEST in done.stderr.decode()
    assert list((tmp_path / "blobs/sha256").iterdir()) == []


def test_a_file_cut_short_is_not_kept_and_those_before_it_are(tmp_path: Path) -> None:
    whole = f"{DIGEST} {len(DATA)}\n".encode() + DATA
    done = ask(tmp_path, "receive", whole + f"{digest_bytes(b'more')} 4\n".encode() + b"mo")
    assert done.returncode == agent.CUT_SHORT
    assert [path.read_bytes() for path in (tmp_path / "blobs/sha256").iterdir()] == [DATA]


@pytest.mark.parametrize("title", ["../out", "/etc/out", "a/../../out"])
def test_a_name_that_leads_out_of_the_folder_is_refused(title: str, tmp_path: Path) -> None:
    ask(tmp_path / "folder", "receive", f"{DIGEST} {len(DATA)}\n".encode() + DATA)
    done = ask(tmp_path / "folder", "lay", json.dumps({title: DIGEST}).encode(), "tree")
    assert done.returncode == agent.REFUSED and "is no name of a file" in done.stderr.decode()
    assert not list(tmp_path.rglob("out"))


def test_a_digest_that_is_a_path_is_refused(tmp_path: Path) -> None:
    done = ask(tmp_path, "receive", b"sha256:../../out 1\nx")
    assert done.returncode == agent.REFUSED and "is no digest" in done.stderr.decode()


def test_more_than_the_disk_has_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    done = ask(tmp_path, "missing", json.dumps({DIGEST: 10**18}).encode())
    assert done.returncode == agent.REFUSED and "MB are needed in" in done.stderr.decode()
