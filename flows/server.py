"""A Prefect server for one build, which cannot outlive it.

Prefect starts a temporary server by itself where none is named; killed with SIGKILL, its parent leaves that one behind
for ever. This one runs under the guard that the compiler's commands run under, and ends with us in every case.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from artifacts.environment import without_secrets
from flows.errors import ServerNotReached, ServerNotStarted
from flows.serving.doorkeeper import APPLICATION
from settings.locations import PROJECT
from tasks.toolchain import guard

START_TIMEOUT_S = 180.0

CONSOLE_PREFIX = "PREFECT_LOGGING_HANDLERS_"
"""Variables that keep Prefect off our terminal; the server writes to a file, where everything shall be."""

_STOP_S = 2 * guard.GRACE_S + 5.0
_POLL_S = 0.1
_CONNECT_S = 10.0


class Server:
    """A server that is starting or running.

    Attributes:
        api_url: Where its API answers.
        pid: Process id of its guard.
        log_path: Where its output goes.
    """

    def __init__(self, log_path: Path) -> None:
        """Start it; `wait` tells when it answers.

        Args:
            log_path: Where its output goes; the folder exists.
        """
        port = _free_port()
        self.api_url = f"http://127.0.0.1:{port}/api"
        self.log_path = log_path
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                _command(port),
                env=_environment(os.environ, port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the build, which still has something to tell the server then.
                start_new_session=True,
            )
        self.pid = self._process.pid
        # At the very end, not when the flow returns: Prefect still hands in its last events then.
        atexit.register(self.stop)

    def wait(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until the server answers.

        Raises:
            ServerNotStarted: It ended, or took too long.
        """
        deadline = time.monotonic() + timeout_s
        while not answers(self.api_url):
            if self._process.poll() is not None:
                raise ServerNotStarted(f"ended with status {self._process.returncode} at its start", self.log_path)
            if time.monotonic() >= deadline:
                self._end()  # the log stays, the error names it
                raise ServerNotStarted(f"did not answer within {timeout_s:g} s", self.log_path)
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End the server with all its processes; its log goes too where it was still empty. May be called twice."""
        # Asked before the end: a request that is cut off by it can leave a traceback, which is no news about the build.
        silent = self.log_path.exists() and self.log_path.stat().st_size == 0
        self._end()
        if silent:
            self.log_path.unlink(missing_ok=True)

    def _end(self) -> None:
        atexit.unregister(self.stop)
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def check_reachable(api_url: str) -> None:
    """Make sure that somebody listens where the user's own server should be.

    Args:
        api_url: Its address.

    Raises:
        ServerNotReached: Nobody does.
    """
    parts = urllib.parse.urlsplit(api_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return  # only the proxy can tell
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except OSError as error:
        raise ServerNotReached(api_url, error.strerror or str(error)) from error


def _command(port: int) -> list[str]:
    guarded = [sys.executable, "-I", "-S", str(Path(guard.__file__)), str(os.getpid()), sys.executable, "-m", "uvicorn"]
    application = ["--app-dir", str(PROJECT), "--factory", APPLICATION]
    return [*guarded, *application, "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]


def _environment(inherited: Mapping[str, str], port: int) -> dict[str, str]:
    # The last two are what Prefect's own temporary server gets: no user interface, no services that watch over others.
    ours = {
        # Prefect's default lets the pages of every site ask.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "false",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }
    kept = {name: value for name, value in without_secrets(inherited).items() if not name.startswith(CONSOLE_PREFIX)}
    return {**kept, **ours}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(api_url: str) -> bool:
    """Whether a server on this machine answers.

    Args:
        api_url: Its address.
    """
    try:
        # Not through a proxy: it is this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{api_url}/health", timeout=2) as response:
            return json.load(response) is True
    except (OSError, ValueError):
        return False
