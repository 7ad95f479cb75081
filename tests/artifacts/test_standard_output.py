"""Commands whose standard output goes away: `| head`, a full disk, none at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Tuple, Union

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = """
import sys
from artifacts.standard_output import ended

def command(status):
    for line in range(20_000):
        print("line", line, flush=line % 1000 == 0)
    print("the work is done", file=sys.stderr)
    return status

status = ended(command, {status})
print("and more")
sys.exit(status)
"""


def run(stdout: Union[int, IO[bytes]], status: int = 0) -> Tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format(status=status)],
        cwd=str(ROOT),
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(("status", "ends"), [(0, 141), (1, 1)])
def test_a_command_whose_reader_has_gone_ends_its_work_without_a_word(status: int, ends: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run(writing, status) == (ends, "the work is done\n")
    finally:
        os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_standard_output_that_is_full_is_told_as_that_when_the_work_is_done() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        status, said = run(full)
    assert status == 1
    assert said.startswith("the work is done\nerror: the standard output cannot be written: No space left on device. ")
    assert "Traceback" not in said


def test_output_that_is_read_is_whole_and_may_go_on_afterwards() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format(status=0)], cwd=str(ROOT), capture_output=True, check=False
    )
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0 and len(lines) == 20_001 and lines[-2:] == ["line 19999", "and more"]


def test_a_command_without_any_standard_output_does_its_work() -> None:
    script = COMMAND.format(status=0)
    done = subprocess.run(
        ["sh", "-c", f"exec '{sys.executable}' -c '{script}' >&-"], cwd=str(ROOT), stderr=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, "the work is done\n")


def test_the_device_sides_command_is_quiet_when_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "inference", "doctor"],
        cwd=str(ROOT),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert done.returncode in (1, 141) and done.stderr == b""
