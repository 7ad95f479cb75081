"""Downloads through kills, rivals and full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from artifacts.files import claim
from tasks.download import Options, Source, fetch
from tasks.errors import DownloadStopped, NoSpaceForDownload, SourceMissing
from tests.tasks.sources import origin as o
from tests.tasks.sources.support import QUICK, Waits, names, sha256, source_of

ROOT = Path(__file__).parents[3]
SIZE = 3_000_001
CONTENT = o.numbered(SIZE)
CHILD = """
import sys
from pathlib import Path
from artifacts.files import claim
from tasks.download import Options, Source, fetch
source = Source.model_validate_json(sys.argv[1])
print(fetch(source, Path(sys.argv[2]), options=Options.model_validate_json(sys.argv[3])).mirror, flush=True)
"""


@pytest.fixture
def origin() -> Iterator[o.Origin]:
    with o.running() as origin:
        yield origin


def start(source: Source, target: Path, options: Options) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", CHILD, wire(source), str(target), options.model_dump_json()]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wire(source: Source) -> str:
    return source.model_dump_json()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_a_download_killed_in_the_middle_goes_on_in_another_process(origin: o.Origin, tmp_path: Path) -> None:
    source = source_of(CONTENT, origin.put("/a", CONTENT, o.stall(2_000_003)))
    child = start(source, tmp_path / "a", QUICK)
    until(lambda: size_of(tmp_path / "a.part") == 2_000_003)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "a").exists()
    fetch(source, tmp_path / "a", options=QUICK)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [request.sent for request in origin.requests] == [2_000_003, SIZE - 2_000_003]
    assert origin.requests[1].headers["If-Range"] == o.etag(CONTENT)
    assert names(tmp_path) == ["a"]


def test_a_whole_file_that_lacked_only_its_name_is_checked_and_not_asked_for(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, o.cut(SIZE - 1), otherwise=o.status(404))
    with pytest.raises(SourceMissing):
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    with (tmp_path / "a.part").open("ab") as part:
        part.write(CONTENT[-1:])
    asked = len(origin.requests)
    fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK)
    assert len(origin.requests) == asked


def test_two_processes_at_once_download_once(origin: o.Origin, tmp_path: Path) -> None:
    released = threading.Event()

    def hold(exchange: o.Exchange, content: bytes) -> None:
        released.wait(30)
        o.serve(exchange, content)

    source = source_of(CONTENT, origin.put("/a", CONTENT, otherwise=hold))
    children = [start(source, tmp_path / "a", QUICK) for _ in range(2)]
    until(lambda: len(origin.requests) == 1)
    # The rival waits by now, or has yet to start: either way there may be one request only.
    released.set()
    told = sorted(child.communicate()[0].strip() for child in children)
    assert [child.returncode for child in children] == [0, 0]
    assert told == ["None", origin.url + "/a"]
    assert len(origin.requests) == 1
    assert names(tmp_path) == ["a"]


def test_two_threads_at_once_record_and_download_once(origin: o.Origin, tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def hold(exchange: o.Exchange, content: bytes) -> None:
        until(lambda: waiting.is_alive() and waits.seconds != [])
        o.serve(exchange, content)

    source = Source(name="photo", mirrors=(origin.put("/a", CONTENT, otherwise=hold),))
    options = QUICK.model_copy(update={"record_first_use": True, "lock_file": tmp_path / "lock" / "l.json"})
    waits, found = Waits(), []

    def get() -> None:
        both.wait(30)
        found.append(fetch(source, tmp_path / "a", options=options, clock=Waits().clock()))

    def get_second() -> None:
        both.wait(30)
        until(lambda: origin.requests != [])
        found.append(fetch(source, tmp_path / "a", options=options, clock=waits.clock(time.monotonic)))

    first, waiting = threading.Thread(target=get), threading.Thread(target=get_second)
    first.start()
    waiting.start()
    first.join()
    waiting.join()
    assert {one.digest for one in found} == {sha256(CONTENT)}
    # The second began before the digest was recorded, and believes the record once it has waited.
    assert len(origin.requests) == 1


def test_a_wait_for_a_rival_ends_at_the_deadline(origin: o.Origin, tmp_path: Path) -> None:
    rival = claim(tmp_path / "a.part")
    assert rival is not None
    os.write(rival, CONTENT[:1000])
    options = QUICK.model_copy(update={"deadline_s": 1.0})
    with pytest.raises(DownloadStopped):
        fetch(source_of(CONTENT, origin.put("/a", CONTENT)), tmp_path / "a", options=options, clock=Waits().clock())
    os.close(rival)
    assert origin.requests == []
    assert size_of(tmp_path / "a.part") == 1000


@contextmanager
def tiny_disk(folder: Path, size: int) -> Iterator[Path]:
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a tiny disk needs root")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False)
    if made.returncode != 0:
        pytest.skip("this machine does not allow a tiny disk to be mounted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_found_before_the_first_byte(origin: o.Origin, tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", 1 << 20) as disk:
        with pytest.raises(NoSpaceForDownload, match="3,000,001 bytes needed"):
            fetch(source_of(CONTENT, origin.put("/a", CONTENT)), disk / "a", options=QUICK)
        assert origin.requests == []


def test_a_disk_that_fills_up_on_the_way_loses_nothing(origin: o.Origin, tmp_path: Path) -> None:
    # Without a length nobody can know beforehand; the second mirror must not be tried, as no mirror helps.
    url, other = origin.put("/a", CONTENT, o.chunked), origin.put("/b", CONTENT)
    source = source_of(CONTENT, url, other, size=False)
    with tiny_disk(tmp_path / "disk", 1 << 20) as disk:
        with pytest.raises(NoSpaceForDownload, match="What has arrived is kept"):
            fetch(source, disk / "a", options=QUICK, clock=Waits().clock())
        kept = size_of(disk / "a.part")
        assert kept > 500_000
        assert len(origin.requests) == 1
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        fetch(source, disk / "a", options=QUICK)
        assert (disk / "a").read_bytes() == CONTENT
        assert origin.requests[1].sent == SIZE - kept
