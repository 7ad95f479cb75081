"""Cleaning beside others, killed, and against disks that refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.in_use import alone_in
from flows.cleaning import clean_up
from settings.load import load_settings
from tests.flows.cleaned import age, clean, sound
from tests.flows.conftest import Run
from tests.flows.tiny import DEADLINE_S, ROOT, TinyBuild

Capture = pytest.CaptureFixture[str]

CLEANER = """
import sys
from flows.clean_store import run_clean
print("cleaning", flush=True)
sys.exit(run_clean(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may clean the machine's own cache folder."""
    monkeypatch.setenv("CENTERNET_CACHE", str(tmp_path / "cache"))


def test_a_build_that_starts_meanwhile_waits_and_says_so(run: Run, again: TinyBuild) -> None:
    with alone_in(again.workspace.store) as alone:
        assert alone
        process = again.start()
        assert process.stderr is not None
        for line in process.stderr:
            if "the store is being cleaned: waiting" in line:
                break
        else:
            raise AssertionError("the build did not wait")
        assert process.poll() is None
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err


def test_two_cleanings_at_once_do_the_work_once(again: TinyBuild, capsys: Capture) -> None:
    again.workspace.content.put_bytes(b"nobody's")
    age(again)
    settings = load_settings(again.profile, environ={})
    with alone_in(again.workspace.store):
        done = clean_up(settings)
    assert done.busy == (Path(again.workspace.store),) and done.removed.items == ()
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(clean(again, "--yes"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 in results and sound(again)


def test_killed_at_any_moment_it_leaves_a_sound_store(run: Run, again: TinyBuild) -> None:
    digest = again.digest
    records, content = again.workspace.records, again.workspace.content
    for number in range(1500):
        blob = content._blobs / f"{number:064x}"  # a file as large as none, but as slow to remove as any
        blob.touch(0o444)
        (records / f"step-{number:064x}").write_text(f'{{"result": "sha256:{number:064x}"}}')
    age(again)
    left = []
    for pause in (0.0, 0.02, 0.05):
        with subprocess.Popen(
            [sys.executable, "-c", CLEANER, "--profile", str(again.profile), "--yes"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None and process.stdout is not None
            for line in process.stderr:
                if "removing" in line:
                    break
            time.sleep(pause)
            process.kill()
        left.append(len(list(records.glob("step-*"))) + len(list(content._blobs.iterdir())))
        # No record is left whose files are gone.
        named = {path.name[5:] for path in records.glob("step-*")}
        assert all((content._blobs / name).exists() for name in named)
    assert 0 < left[-1] < left[0], left
    assert clean(again, "--yes") == 0
    assert not list(records.glob("step-*")) and sound(again)
    assert run(again) == 0 and again.made() == set() and again.digest == digest


def test_what_cannot_be_removed_is_told_and_the_rest_goes(
    again: TinyBuild, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = again.workspace.content.path(again.workspace.content.put_bytes(b"stuck"))
    gone = again.workspace.content.path(again.workspace.content.put_bytes(b"gone"))
    age(again)
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise PermissionError(1, "Operation not permitted", str(path))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert clean(again, "--yes") == 1
    assert f"could not be removed: 1, such as {stuck}: Operation not permitted" in capsys.readouterr().out
    assert stuck.exists() and not gone.exists()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system of its own needs root and the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_cleaned(finished: TinyBuild, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = TinyBuild(disk, like=finished)
    monkeypatch.setenv("CENTERNET_CACHE", build.workspace.cache)
    build.workspace.content.put_bytes(b"nobody's" * 1000)
    age(build)
    with pytest.raises(OSError, match="No space"), (disk / "filling").open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    free = shutil.disk_usage(disk).free
    assert clean(build, "--yes") == 0
    assert shutil.disk_usage(disk).free > free and sound(build)


def test_a_read_only_store_is_looked_at_and_not_cleaned(
    finished: TinyBuild, disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    build = TinyBuild(disk, like=finished)
    monkeypatch.setenv("CENTERNET_CACHE", build.workspace.cache)
    build.workspace.content.put_bytes(b"nobody's")
    age(build)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert clean(build, "--dry-run") == 0 and "stored files" in capsys.readouterr().out
    assert clean(build, "--yes") == 1
    assert "Cannot write below" in capsys.readouterr().err
