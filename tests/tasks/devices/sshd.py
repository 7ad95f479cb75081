"""A real sshd on the loopback, with keys of its own, and a way to cut its connections."""

from __future__ import annotations

import functools
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
"""


class Sshd(NamedTuple):
    """A running server.

    Attributes:
        port: Where it listens.
        user: Who may log in.
        key: With this private key.
        known_hosts: A file that holds its host key.
        folder: Its files.
    """

    port: int
    user: str
    key: Path
    known_hosts: Path
    folder: Path

    @property
    def settings(self) -> dict[str, object]:
        """How the settings of a device name it."""
        names = ("port", "user", "key", "known_hosts")
        return {"kind": "ssh", "host": "127.0.0.1", **{name: getattr(self, name) for name in names}}


@functools.lru_cache(maxsize=1)
def program() -> str:
    """Return the server's executable; skip the test where there is none."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None or shutil.which("ssh") is None:
        pytest.skip("OpenSSH's sshd or ssh is not installed: apt-get install openssh-server openssh-client")
    return found


def make_key(path: Path) -> Path:
    """Make a key pair and return the private key's path."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """Run a server while the body runs.

    Args:
        folder: For its files.
    """
    executable = program()
    with suppress(PermissionError):  # where it separates its privileges; only root needs it
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder.mkdir()
    make_key(folder / "host_key")
    key = make_key(folder / "key")
    (folder / "authorized_keys").write_text((folder / "key.pub").read_text())
    port = free_port()
    (folder / "config").write_text(_CONFIG.format(port=port, folder=folder))
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([executable, "-D", "-e", "-f", str(folder / "config")], stderr=log)
        try:
            _wait(port, process, folder / "log")
            yield Sshd(port, getpass.getuser(), key, folder / "known_hosts", folder)
        finally:
            process.kill()
            process.wait()


class Cutter:
    """Passes connections on to a port, and cuts each after so many bytes of what the client sent.

    Attributes:
        port: Where it listens.
        limit: The number of bytes, None for any.
        passed: Bytes that clients sent so far.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.limit: int | None = None
        self.passed = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        total = 0
        with suppress(OSError):
            while chunk := source.recv(16384):
                total += len(chunk)
                self.passed += len(chunk) if counted else 0
                if counted and self.limit is not None and total > self.limit:
                    break
                target.sendall(chunk)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    """Return a port of the loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"sshd does not listen: {log.read_text()}")
