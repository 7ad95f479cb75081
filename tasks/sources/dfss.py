"""A file from the vendor's server, by the vendor's own tool.

`dfss` (1.10.9 read) starts a native program through a shell, tries each server three times, and writes into the working
folder. Its exit status tells failure only in later versions, so what it left is what is judged.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from artifacts.environment import for_programs
from tasks.errors import FailureKind, MirrorFailure
from tasks.sources.pace import Job
from tasks.sources.part import Part, check_room, using

_LOG = "dfss.log"
_POLL_S = 0.1
_GRACE_S = 5.0
_LOG_TAIL = 300


@contextmanager
def fetched_by_tool(address: str, part: Part, job: Job) -> Iterator[Path]:
    """Run the tool in a folder of its own beside the target, and hold what it brought while the body runs.

    Args:
        address: `account@host:path`, in the grammar of `tasks.sources.address`.
        part: The partial file that the bytes are meant for; its lock makes the folder ours.
        job: Limits.

    Yields:
        The file that the tool left.

    Raises:
        MirrorFailure: The tool is not installed, failed, took too long, or left nothing, several files, or another one.
        DownloadStopped: The deadline passed, or the job was called off.
        NoSpaceForDownload: The disk is full.
        TargetUnusable: The folder cannot be made.
    """
    check_room(part.path, part.expected.size or 0, job.options.reserve)
    scratch = part.target.with_name(part.target.name + ".dfss")
    # What a killed run left; nobody else is here, as the part is locked.
    shutil.rmtree(scratch, ignore_errors=True)
    with using(scratch):
        (scratch / "got").mkdir(parents=True)
    try:
        status = _run(address, scratch, job)
        yield judge_folder(scratch / "got", PurePosixPath(address).name, status, _tail(scratch / _LOG))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def judge_folder(folder: Path, name: str, status: int, log_tail: str) -> Path:
    """Decide what the tool's run is worth by what it left.

    Args:
        folder: Where it ran.
        name: What the file should be called.
        status: Its exit status.
        log_tail: The end of its output, for messages.

    Returns:
        The one file.

    Raises:
        MirrorFailure: There is none, there are several, it is another one, or the tool says that it failed.
    """
    if "No module named dfss" in log_tail:
        reason = f"needs the dfss tool: {Path(sys.executable).name} -m pip install dfss"
        raise MirrorFailure(FailureKind.TOOL, reason)
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    if status != 0:
        raise MirrorFailure(FailureKind.TOOL, f"dfss ended with status {status}: {log_tail}")
    if not left:
        raise MirrorFailure(FailureKind.TOOL, f"dfss ended well and left nothing: {log_tail}")
    if len(left) > 1:
        reason = f"dfss left {len(left)} files where one was expected: {', '.join(left[:5])}"
        raise MirrorFailure(FailureKind.TOOL, reason)
    if left != [name]:
        raise MirrorFailure(FailureKind.TOOL, f"dfss left {left[0]} where {name} was expected")
    return folder / name


def _run(address: str, scratch: Path, job: Job) -> int:
    argv = [sys.executable, "-m", "dfss", f"--url={address}"]
    end = job.clock.monotonic() + job.options.dfss_timeout_s
    with (scratch / _LOG).open("wb") as log:
        process = subprocess.Popen(
            argv,
            cwd=scratch / "got",
            env=for_programs(os.environ, "PYTHONPATH", network=True),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while job.clock.monotonic() < end:
                job.check()
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(_POLL_S)
        finally:
            _end_group(process)
    raise MirrorFailure(FailureKind.TOOL, f"dfss was still running after {job.options.dfss_timeout_s:g} s")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    # The tool's shell and its program are children of its own, so the whole group must go, even after it has ended.
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
            if number is signal.SIGTERM and not _group_lives(process.pid):
                return


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _tail(log: Path) -> str:
    with suppress(OSError):
        lines = log.read_bytes()[-_LOG_TAIL:].decode(errors="replace").split()
        return " ".join(lines)
    return ""
