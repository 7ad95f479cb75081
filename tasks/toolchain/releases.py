"""Which releases of the compiler there are, asked of the package index that the user's own installer is set up for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import uv
from packaging.version import Version

from settings.locations import scrubbed
from tasks.errors import IndexFailed, IndexUnreachable
from tasks.toolchain.installer import PYTHON, UNREACHABLE, uv_environment
from tasks.toolchain.launch import launch

PACKAGE = "tpu-mlir"

_ANSWER = re.compile(rf"^{PACKAGE}==(\S+)", re.M)
_NOTHING = re.compile(r"No solution found when resolving")
_PREFIX = re.compile(r"^(error|cause): ")
_LIMIT_S = 180.0
_LAST_LINES = 5


class _Reply(NamedTuple):
    """What uv gave.

    Attributes:
        version: The release that it would install; None where there is none in the range.
        said: All that it printed.
    """

    version: str | None
    said: str


def newest(*, limit_s: float = _LIMIT_S) -> str:
    """Ask for the newest release that can be installed on this machine.

    The index is asked anew, whatever uv remembers of it. Releases that were taken back and those before a final one do
    not count.

    Args:
        limit_s: Longest time to wait, in seconds.

    Returns:
        Its version.

    Raises:
        IndexUnreachable: The index does not answer.
        IndexFailed: It has no release for this machine, or uv failed otherwise.
    """
    reply = _ask(PACKAGE, limit_s, fresh=True)
    if reply.version is None:
        raise IndexFailed(_last(reply.said))
    return reply.version


def between(oldest: str, latest: str, *, limit_s: float = _LIMIT_S) -> tuple[str, ...]:
    """Ask for all releases between two, oldest first; those two are not looked for.

    Args:
        oldest: A version.
        latest: A higher one.
        limit_s: Longest time to wait for each answer, in seconds.

    Returns:
        What lies between them, without them; one question for each.

    Raises:
        IndexUnreachable: The index does not answer.
        IndexFailed: uv failed.
    """
    found: list[str] = []
    upper = latest
    while True:
        reply = _ask(f"{PACKAGE}>{oldest},<{upper}", limit_s, fresh=not found)
        # Should an index not keep to the range, the search must end nevertheless.
        if reply.version is None or not Version(oldest) < Version(reply.version) < Version(upper):
            return tuple(reversed(found))
        upper = reply.version
        found.append(upper)


def is_newer(version: str, than: str) -> bool:
    """Tell whether a version is higher than another, as Python's packages count."""
    return Version(version) > Version(than)


def _ask(requirement: str, limit_s: float, *, fresh: bool) -> _Reply:
    with tempfile.TemporaryDirectory(prefix="centernet-index-") as name:
        folder = Path(name)
        (folder / "wanted.txt").write_text(f"{requirement}\n")
        environment = uv_environment(os.environ)
        command = _command(folder, environment, fresh=fresh)
        with (folder / "log").open("wb") as sink:
            try:
                status = launch(command, environment=environment, sink=sink, timeout_s=limit_s)
            except subprocess.TimeoutExpired:
                raise IndexUnreachable(f"no answer within {limit_s:g} s") from None
        said = scrubbed((folder / "log").read_text("utf-8", "replace"))
        if status == 0:
            answer = _ANSWER.search((folder / "answer.txt").read_text())
            return _Reply(answer[1] if answer else None, said)
    if UNREACHABLE.search(said):
        raise IndexUnreachable(_last(said))
    if not _NOTHING.search(said):
        raise IndexFailed(_last(said))
    return _Reply(None, said)


def _command(folder: Path, environment: Mapping[str, str], *, fresh: bool) -> list[str]:
    options = ["--no-deps", "--no-build", "--no-header", "--no-annotate", "--prerelease", "disallow"]
    # The compiler's releases are for that Python, which need not be here yet; uv is given ours, so as not to look.
    options += ["--python-version", PYTHON, "--python", sys.executable, "--no-python-downloads"]
    if fresh and not environment.get("UV_OFFLINE"):  # uv refuses both together
        options += ["--refresh-package", PACKAGE]
    wanted, answer = str(folder / "wanted.txt"), str(folder / "answer.txt")
    return [uv.find_uv_bin(), "pip", "compile", wanted, "--output-file", answer, *options]


def _last(said: str) -> str:
    lines = [_PREFIX.sub("", line.strip()) for line in said.splitlines() if not line.startswith("warning:")]
    return "; ".join(filter(None, lines[-_LAST_LINES:]))[-500:].rstrip(".")
