"""What we ask of uv: a Python 3.10, an environment, and packages in it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import uv

from artifacts.environment import for_programs
from settings.locations import scrubbed
from tasks.errors import ProvisionFailed
from tasks.toolchain.launch import launch

PYTHON = "3.10"

UNREACHABLE = re.compile(
    r"dns error|error sending request|Connection refused|operation timed out|Network is unreachable"
    r"|network was disabled|Failed to fetch"
)
_REASON_LINES = 5
# Its own settings, its folders, where passwords for the index are kept, and what builds a package that has no wheel.
_READ_BY_UV = ("UV_", "XDG_", "PYENV_", "NETRC", "DBUS_SESSION_BUS_ADDRESS", "CC", "CXX", "CFLAGS", "LDFLAGS")
_STAGES = re.compile(rb"^\$ \S+ (?:venv|pip install|-c) ", re.M)
_FULL = re.compile(r"No space left on device|\(os error 28\)")


class Installer:
    """One installation: everything that runs goes into one log and has to be done by one deadline."""

    def __init__(self, log_path: Path, timeout_s: float) -> None:
        """Start the log.

        Args:
            log_path: Where all output goes; its folder exists, a file there is replaced.
            timeout_s: Longest time for everything together, in seconds.
        """
        self.log_path = log_path
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._sink: BinaryIO = log_path.open("wb", buffering=0)

    def __enter__(self) -> Installer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.close()
        # uv leaves user and password out of an index's address, but no token behind a question mark.
        said = self.log_path.read_bytes()
        fit = scrubbed(said.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if fit != said:
            self.log_path.write_bytes(fit)

    def make_environment(self, folder: Path, python: Path | None) -> None:
        """Create an empty environment of Python 3.10.

        Args:
            folder: Where; must not exist.
            python: The interpreter to use; looked for where None.

        Raises:
            ProvisionFailed: There is no Python 3.10 and uv cannot bring one, or the one that was named is another.
        """
        interpreter = python or self.find_python()
        if interpreter is None:
            raise ProvisionFailed(
                f"The compiler needs Python {PYTHON}: none was found on this machine, and uv could not bring one (no "
                f"network?). Install Python {PYTHON}, or name one by `--set toolchain.python=PATH`.",
                self.log_path,
            )
        status, _ = self._uv("venv", "--python", str(interpreter), str(folder))
        if status != 0:
            raise ProvisionFailed(
                f"No environment could be made with {interpreter}. Is it a working Python {PYTHON}?", self.log_path
            )
        made = re.search(r"^version(?:_info)? = (\S+)", (folder / "pyvenv.cfg").read_text(), re.M)
        if made is None or not made[1].startswith(f"{PYTHON}."):
            raise ProvisionFailed(
                f"{interpreter} is Python {made[1] if made else '?'}, the compiler needs {PYTHON}. Name another one by "
                "`--set toolchain.python=PATH`, or none, so that one is looked for.",
                self.log_path,
            )

    def find_python(self) -> Path | None:
        """Look for a Python 3.10: on PATH, among pyenv's, then as one that uv downloads."""
        return self._installed_python() or _pyenv_python() or self._downloaded_python()

    def install(self, folder: Path, release: str, requirements: Iterable[str], constraints: Iterable[str]) -> None:
        """Install packages into an environment.

        Args:
            folder: The environment.
            release: What is being installed, for messages.
            requirements: What to install.
            constraints: Exact versions.

        Raises:
            ProvisionFailed: The installer failed; the message tells a missing network, a full disk and a missing
                release apart.
        """
        constraint_file = folder / "constraints.txt"
        constraint_file.write_text("".join(f"{line}\n" for line in constraints))
        python = str(folder / "bin" / "python")
        status, output = self._uv(
            "pip", "install", "--python", python, "--constraint", str(constraint_file), *requirements
        )
        if status == 0:
            return
        if _FULL.search(output):
            reason = "the disk became full. Make space and run the build again: what was downloaded is kept"
        elif UNREACHABLE.search(output):
            reason = (
                "the package index cannot be reached. Check the network and the installer's own settings (proxy, "
                "index), then run the build again: what was downloaded is kept"
            )
        else:
            said = " ".join(line.strip() for line in output.splitlines()[-_REASON_LINES:])
            reason = f"does that release exist for this machine? The installer says: {said[-500:]}"
        raise ProvisionFailed(f"{release} could not be installed: {reason}", self.log_path)

    def share_done(self) -> float:
        """Tell from the log how far the installation is: a tenth for each stage around the packages, 0..1."""
        log = self.log_path.read_bytes()
        stages = _STAGES.findall(log)
        if len(stages) < 2:
            return 0.1 * len(stages)
        begun = log.count(b"Downloading ")  # large packages alone are told
        packages = log.count(b" Downloaded ") / begun if begun else 0.0
        return 0.9 if len(stages) > 2 else 0.1 + 0.8 * packages

    def run(self, argv: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Run a command to its end, its output going into the log.

        Args:
            argv: The command.
            environment: Its whole environment.

        Returns:
            Its exit status and what it printed.

        Raises:
            ProvisionFailed: The time for the whole installation is over.
        """
        self._sink.write(f"$ {shlex.join(argv)}\n".encode())
        start = self._sink.tell()
        try:
            # Guarded: an installer that outlived a killed build would write into the next one's environment.
            status = launch(
                argv, environment=environment, sink=self._sink, timeout_s=max(0.0, self._deadline - time.monotonic())
            )
        except subprocess.TimeoutExpired:
            raise ProvisionFailed(
                f"The compiler's environment was not ready after {self._timeout_s:g} s. Is the network slow? Run the "
                "build again, what was downloaded is kept; or raise `toolchain.timeouts.provision`.",
                self.log_path,
            ) from None
        return status, scrubbed(self.log_path.read_bytes()[start:].decode("utf-8", "replace"))

    def _uv(self, *arguments: str) -> tuple[int, str]:
        return self.run([uv.find_uv_bin(), *arguments], uv_environment(os.environ))

    def _installed_python(self) -> Path | None:
        status, output = self._uv("python", "find", "--system", "--no-python-downloads", PYTHON)
        lines = output.strip().splitlines() if status == 0 else []
        return Path(lines[-1]) if lines else None

    def _downloaded_python(self) -> Path | None:
        status, _ = self._uv("python", "install", "--no-bin", PYTHON)
        return self._installed_python() if status == 0 else None


def uv_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for uv: the user's own settings (index, proxy, torch backend), no other secret of ours.

    A package without a wheel is built by a program of its own, which sees all that uv sees.

    Args:
        own: The environment of this process.
    """
    kept = for_programs(own, *_READ_BY_UV, network=True)
    return {"UV_HTTP_TIMEOUT": "300", "UV_NO_PROGRESS": "1", **kept}


def _pyenv_python() -> Path | None:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(root.glob(f"versions/{PYTHON}.*/bin/python3"))
    return found[-1] if found else None
