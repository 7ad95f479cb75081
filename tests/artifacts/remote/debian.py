"""Debian's docker-registry, started on the loopback; unpacked from its package where it is not installed."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import List, Optional, Tuple

import pytest

USER, PASSWORD = "alice", "wonder"
# bcrypt of the password, the only scheme that the server takes.
_HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuuetGRvO6QNMBbbIoo5tpQkbPXg26U9Qu\n"


@functools.lru_cache(maxsize=1)
def program() -> str:
    """Return the server's executable; skip the test where there is none and none can be had.

    It needs nothing beside the C library, so the package is unpacked and not installed: installing would start a
    service. Takes some seconds, once a session.
    """
    found = shutil.which("docker-registry")
    if found:
        return found
    if os.geteuid() != 0 or not (shutil.which("apt-get") and shutil.which("dpkg")):
        pytest.skip("docker-registry is not installed, and only root can fetch it with apt")
    folder = tempfile.mkdtemp(prefix="docker-registry-")
    packages: List[Path] = []
    # The lists of packages may be missing or old.
    for arguments in (["download", "docker-registry"], ["update"], ["download", "docker-registry"]):
        if not packages:
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(["apt-get", *arguments], cwd=folder, capture_output=True, timeout=60, check=False)
            packages = list(Path(folder).glob("docker-registry_*.deb"))
    if not packages:
        pytest.skip("docker-registry is not installed, and apt cannot fetch it")
    subprocess.run(["dpkg", "-x", str(packages[0]), folder], check=True)
    return str(Path(folder) / "usr" / "bin" / "docker-registry")


@contextmanager
def docker_registry(folder: Path, tls: Optional[Tuple[Path, Path]] = None, htpasswd: str = _HTPASSWD) -> Iterator[str]:
    """Run a server while the body runs.

    Args:
        folder: For its files; may hold those of an earlier run.
        tls: Certificate and key; with them it also wants a user and a password.
        htpasswd: Who may log in.

    Yields:
        Its ``host:port``.
    """
    executable = program()
    folder.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secured = auth = ""
    if tls is not None:
        (folder / "htpasswd").write_text(htpasswd)
        secured = f", tls: {{certificate: {tls[0]}, key: {tls[1]}}}"
        auth = f"auth: {{htpasswd: {{realm: edge-models, path: {folder / 'htpasswd'}}}}}\n"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'{secured}}}\n{auth}"
    )
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen([executable, "serve", str(config)], stdout=log, stderr=log)
    try:
        _wait_for(server, port, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(500):
        assert server.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"docker-registry did not come up: {log.read_text()}")
