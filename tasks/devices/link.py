"""The way to a device: the agent is started there, over ssh or as a process of this machine, and asked one thing."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from artifacts.environment import for_programs, without_secrets
from settings.devices import Device, SshDevice, python_of
from settings.locations import PROJECT
from tasks.devices import agent
from tasks.devices.answers import MAX_ANSWER_BYTES, Answer, answered
from tasks.devices.failures import failure, not_started

_TAIL_BYTES = 16_000
# A connection over which nothing comes for so long is dead.
_ALIVE_S, _ALIVE_COUNT = 15, 4
# What the device package reads itself.
_DEVICES = ("CENTERNET_CACHE", "CENTERNET_TOOLCHAIN_PYTHON", "CENTERNET_DEVICE_STORE", "XDG_CACHE_HOME")


class Link(NamedTuple):
    """A device, and where things about it are kept.

    Attributes:
        name: Its name in the settings.
        device: What the settings say.
        folder: Where a device that is this machine keeps what it is sent.
        log_path: Where what is printed there goes; what is in the file stays.
    """

    name: str
    device: Device
    folder: Path
    log_path: Path


def ask(
    link: Link, command: str, *arguments: str, kind: type[Answer], given: Iterable[bytes] = (), timeout_s: float
) -> Answer:
    """Run one of the agent's commands on the device.

    Args:
        link: The device.
        command: Which; see `tasks.devices.agent`.
        arguments: What it takes.
        kind: What it answers.
        given: Bytes for its standard input, which then ends; only that of `run` stays open, for its end means to stop.
        timeout_s: The longest time for all of it.

    Returns:
        What it says.

    Raises:
        DeviceError: The device cannot be reached, is another one, lets nobody in, cannot do it, or answers nonsense.
    """
    source = Path(agent.__file__).read_bytes()
    begin = link.log_path.stat().st_size if link.log_path.exists() else 0
    late = threading.Event()
    with TemporaryFile() as answer, link.log_path.open("ab") as log:
        argv = command_line(link, [str(len(source)), command, _device_folder(link), *arguments])
        try:
            process = subprocess.Popen(argv, env=_environment(link), stdin=subprocess.PIPE, stdout=answer, stderr=log)
        except OSError as error:
            raise not_started(link.name, link.device, argv[0], error) from error
        timer = threading.Timer(timeout_s, _give_up, (process, late))
        timer.start()
        try:
            _send(process, source, given, keep_open=command == "run")
            status = process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            _close(process)
        answer.seek(0)
        text = answer.read(MAX_ANSWER_BYTES + 1)
    if status != 0:
        tail = _tail(link.log_path, begin)
        raise failure(link.name, link.device, status, tail, timeout_s if late.is_set() else None)
    return answered(link.name, text, kind)


def command_line(link: Link, arguments: list[str]) -> list[str]:
    """Return the command that starts the agent.

    Args:
        link: The device.
        arguments: The agent's.

    Returns:
        An argument list. What goes through a shell on the device is one argument of it, quoted.
    """
    device = link.device
    program = [python_of(device) or sys.executable, "-I", "-c", agent.BOOT, *arguments]
    if not isinstance(device, SshDevice):
        return program
    return [*ssh_command(device), shlex.join(program)]


def ssh_command(device: SshDevice) -> list[str]:
    """Return the command that logs in, up to and with the host.

    It never asks anybody anything, never takes a key that it should not, and gives up when nothing comes any more.
    """
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(max(1, round(device.connect_timeout))),
        "ServerAliveInterval": str(_ALIVE_S),
        "ServerAliveCountMax": str(_ALIVE_COUNT),
        "StrictHostKeyChecking": "yes" if device.new_host_keys == "refuse" else "accept-new",
    }
    if device.known_hosts is not None:
        options["UserKnownHostsFile"] = _quoted(device.known_hosts)
    if device.key is not None:
        options["IdentitiesOnly"] = "yes"
        options["IdentityFile"] = _quoted(device.key)
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    flags += ["-p", str(device.port)] if device.port is not None else []
    flags += ["-l", device.user] if device.user is not None else []
    return ["ssh", "-T", *flags, "--", device.host]


def _give_up(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def _send(process: subprocess.Popen[bytes], source: bytes, given: Iterable[bytes], *, keep_open: bool) -> None:
    assert process.stdin is not None
    # Who ended while we wrote has said why.
    with suppress(BrokenPipeError):
        process.stdin.write(source)
        for chunk in given:
            process.stdin.write(chunk)
        process.stdin.flush()
    if not keep_open:
        _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()


def _quoted(path: Path) -> str:
    # ssh_config(5): arguments may be enclosed in double quotes to hold spaces; % begins a token.
    return '"' + str(path).replace("%", "%%") + '"'


def _device_folder(link: Link) -> str:
    return link.device.folder if isinstance(link.device, SshDevice) else str(link.folder)


def _environment(link: Link) -> dict[str, str]:
    # Of the build's own Python the device package is this checkout.
    ours = {} if python_of(link.device) else {"PYTHONPATH": str(PROJECT)}
    if isinstance(link.device, SshDevice):
        # What the user's own configuration of ssh starts may need whatever the user set.
        kept = without_secrets(os.environ).items()
        return {**{name: value for name, value in kept if not name.startswith("PREFECT_")}, "LC_ALL": "C"}
    return {**for_programs(os.environ, *_DEVICES, "PYTHONPATH"), "LC_ALL": "C", **ours}


def _tail(path: Path, begin: int) -> str:
    with path.open("rb") as stream:
        stream.seek(max(begin, path.stat().st_size - _TAIL_BYTES))
        return stream.read().decode("utf-8", "replace").strip()
