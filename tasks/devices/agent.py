"""What runs on a device while a release is validated there.

Usage: PYTHON -I -c BOOT SIZE COMMAND FOLDER [ARGUMENT ...]

Its source comes first on the standard input, so that nothing of it has to be installed and no shell sees it. Self-
contained, standard library only, Python 3.8. What it is told follows on the standard input, what it has to say goes to
the standard output; below FOLDER it keeps

    blobs/sha256/<hex>   everything that was ever copied there, by digest
    trees/<name>         folders whose files are hard links to those
    runs/                what is being run
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

# Reads the source and runs it; also a Python 2 understands so much.
BOOT = "import sys; sys.version_info < (3, 8) and sys.exit(70); exec(sys.stdin.buffer.read(int(sys.argv[1])))"
TOO_OLD, REFUSED, DAMAGED, CUT_SHORT = 70, 71, 72, 73

PART = ".part-"

_CHUNK = 1 << 20
_GRACE_S = 5.0
_MAX_REPORT = 16 << 20


def look(folder: Path) -> None:
    """Print what `python -m inference doctor` finds; null and the reason where the package cannot say it."""
    command = [sys.executable, "-m", "inference", "doctor", "--json"]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, preexec_fn=end_with_us
    )
    try:
        found, problem = json.loads(done.stdout.decode()), ""
    except ValueError:
        found, problem = None, " ".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
    say({"python": platform.python_version(), "machine": platform.machine(), "doctor": found, "problem": problem})


def missing(folder: Path) -> None:
    """Read digests with sizes, print those whose bytes are not there; every file is hashed."""
    wanted: dict[str, int] = json.load(sys.stdin.buffer)
    sweep(folder)
    absent = [digest for digest, size in wanted.items() if not is_sound(blob_path(folder, digest), digest, size)]
    free = shutil.disk_usage(folder).free
    needed = sum(wanted[digest] for digest in absent)
    if needed > free:
        refuse(f"{needed / 1e6:.1f} MB are needed in {folder}, {free / 1e6:.1f} MB are free")
    say(absent)


def receive(folder: Path) -> None:
    """Read files, each after a line with its digest and size, and keep those that are what they should be."""
    for line in iter(sys.stdin.buffer.readline, b""):
        digest, size = line.decode().split()
        path = blob_path(folder, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=PART)
        try:
            with os.fdopen(descriptor, "wb") as target:
                found = copy(int(size), target)
                target.flush()
                os.fsync(target.fileno())
            if found != digest:
                leave(DAMAGED, f"what arrived as {digest} hashes to {found}")
            Path(part).replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(part).unlink()
    say("received")


def lay(folder: Path, name: str) -> None:
    """Read file names with digests and make a folder of them; print where it is."""
    files: dict[str, str] = json.load(sys.stdin.buffer)
    tree = folder / "trees" / name
    if not is_laid(folder, tree, files):
        shutil.rmtree(tree, ignore_errors=True)
        tree.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=tree.parent, prefix=PART))
        for title, digest in files.items():
            if title.startswith("/") or ".." in title.split("/"):
                refuse(f"{title!r} is no name of a file in a folder")
            target = staging / title
            target.parent.mkdir(parents=True, exist_ok=True)
            linked(blob_path(folder, digest), target)
        staging.rename(tree)
    say(str(tree))


def run(folder: Path, *arguments: str) -> None:
    """Run `python -m inference validate` until it ends or whoever asked is gone; print its exit status and report."""
    (folder / "runs").mkdir(exist_ok=True)
    work = tempfile.mkdtemp(dir=folder / "runs")
    report = Path(work) / "report.json"
    command = [sys.executable, "-m", "inference", "validate", *arguments, "--report", str(report)]
    try:
        child = subprocess.Popen(
            command,
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
            preexec_fn=end_with_us,  # noqa: PLW1509
        )
        threading.Thread(target=end_with_input, args=(child,), daemon=True).start()
        status = child.wait()
        text = report.read_bytes()[:_MAX_REPORT].decode() if report.is_file() else None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say({"status": status, "report": text})


def end_with_us() -> None:
    """In a process that is about to become another program: let it end when this one does, however this one ends."""
    # PR_SET_PDEATHSIG, prctl(2). Here are no threads yet, with which running this would be unsafe.
    with contextlib.suppress(Exception):  # a Python without ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def end_with_input(child: subprocess.Popen[bytes]) -> None:
    """End a process when the standard input ends: the connection is gone, or we are to stop."""
    while os.read(0, _CHUNK):
        pass
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_S)
            return


def copy(size: int, target: BinaryIO) -> str:
    """Copy so many bytes from the standard input, and return their digest."""
    hasher, left = hashlib.sha256(), size
    while left:
        chunk = sys.stdin.buffer.read(min(left, _CHUNK))
        if not chunk:
            leave(CUT_SHORT, f"the input ended {left} bytes too early")
        hasher.update(chunk)
        target.write(chunk)
        left -= len(chunk)
    return "sha256:" + hasher.hexdigest()


def is_sound(path: Path, digest: str, size: int) -> bool:
    """Tell whether a file holds the bytes that it should."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            hasher.update(chunk)
    return "sha256:" + hasher.hexdigest() == digest


def is_laid(folder: Path, tree: Path, files: dict[str, str]) -> bool:
    """Tell whether every file of a tree is still the very file among the blobs: a damaged one was replaced there."""
    return all((tree / title).is_file() and (tree / title).samefile(blob_path(folder, files[title])) for title in files)


def sweep(folder: Path) -> None:
    """Remove what a killed predecessor left: one validation at a time is on a device."""
    for leftover in [*folder.glob(f"blobs/sha256/{PART}*"), *folder.glob(f"trees/{PART}*"), *folder.glob("runs/*")]:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink()


def linked(source: Path, target: Path) -> None:
    """Link a file to a second name, or copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def blob_path(folder: Path, digest: str) -> Path:
    """Where a file lies."""
    kind, _, name = digest.partition(":")
    if kind != "sha256" or len(name) != 64 or set(name) - set("0123456789abcdef"):
        refuse(f"{digest!r} is no digest")
    return folder / "blobs" / "sha256" / name


def say(value: object) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value))
    sys.stdout.flush()


def refuse(reason: str) -> NoReturn:
    """End because this device cannot do it."""
    leave(REFUSED, reason)


def leave(status: int, reason: str) -> NoReturn:
    """End with a reason."""
    sys.stderr.write(f"agent: {reason}\n")
    sys.exit(status)


def main(command: str, folder: str, *arguments: str) -> None:
    """Run one command."""
    commands: dict[str, Callable[..., None]] = {
        "look": look,
        "missing": missing,
        "receive": receive,
        "lay": lay,
        "run": run,
    }
    try:
        place = Path(folder).expanduser().absolute()
        place.mkdir(parents=True, exist_ok=True)
        commands[command](place, *arguments)
    except OSError as error:
        refuse(f"{error.filename or folder}: {error.strerror or error}")


if __name__ == "__main__":
    main(*sys.argv[2:])
