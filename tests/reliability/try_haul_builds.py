"""Long haul: builds with nothing to do.

`python -m flows.build` of a small profile (the sample's network on two variants, the real compiler), built before, over
and over against one Prefect server that is not started again. The server's memory is sampled after each. It grows ever
more slowly, here by 0.16 MiB a build in the end; two servers beside each other with tiny builds had 267 MiB after one,
277 and 280 after ten, 282 and 283 after twenty, 281 and 288 after forty. The second of them was allowed 100 pages of
SQLite's cache in place of Prefect's 20 000, so it is not that. The server remembers the events of half an hour (up to
10 000 for each of its services, about 100 a build).
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.server import answers
from tests.e2e.whole_build import WholeBuild
from tests.reliability.flat import Clock, Watched, slope
from tests.reliability.trials import Trials

BUILDS = 200


@contextmanager
def standing_server(home: Path) -> Iterator[tuple[str, int]]:
    """A Prefect server with its pages and services; yields its API's address and its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home.mkdir()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        api = f"http://127.0.0.1:{port}/api"
        while not answers(api):
            assert process.poll() is None, (home / "server.log").read_text()
            time.sleep(0.2)
        yield api, process.pid
    finally:
        process.terminate()
        process.wait()


@pytest.mark.compiler
def try_cached_builds(trials: Trials, tmp_path: Path) -> None:
    build = WholeBuild(tmp_path)
    with standing_server(tmp_path / "home") as (api, pid):
        build.run(PREFECT_API_URL=api)
        digest, server, seconds, sizes = build.digest, Watched(pid), [], []
        for number in range(BUILDS):
            clock = Clock()
            build.run(PREFECT_API_URL=api)
            seconds.append(clock.now)
            server.look(number + 1)
            sizes.append((number + 1.0, megabytes(tmp_path / "store")))
            assert build.made() == set() and build.digest == digest
        database = megabytes(tmp_path / "home")
    first, last = statistics.median(seconds[:50]), statistics.median(seconds[-50:])
    trials.tried(
        "builds with nothing to do, one server",
        BUILDS,
        note=f"{first:.1f} s each in the first fifty, {last:.1f} s in the last fifty (medians); the server: "
        f"{server.told('builds', 100)}; its database {database:.0f} MB, {1000 * database / BUILDS:.0f} kB a build, "
        f"which the server's retention limits; the store {1000 * slope(sizes):.0f} kB a build: its journal, which "
        "cleaning removes",
    )


def megabytes(folder: Path) -> float:
    """Size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
