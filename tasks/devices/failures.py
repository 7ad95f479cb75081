"""What the end of a command on a device means, from its exit status and what it printed."""

from __future__ import annotations

import re
import shlex

from settings.devices import Device, LocalDevice, SshDevice, python_of
from tasks.devices import agent
from tasks.errors import (
    ConnectionLost,
    DeviceError,
    DevicePythonMissing,
    DeviceRefused,
    DeviceUnreachable,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    SshMissing,
)

# ssh(1), "EXIT STATUS": that of the remote command, or 255 where an error occurred.
_SSH_FAILED = 255
# What a shell says of a command that it cannot start (POSIX, "Exit Status for Commands").
_NOT_FOUND = (126, 127)

_UNREACHABLE = re.compile(
    r"Could not resolve hostname|Connection refused|Connection timed out|No route to host|Network is unreachable|"
    r"Operation timed out|Host is down|Name or service not known"
)
_LOGIN = re.compile(
    r"Permission denied \(|UNPROTECTED PRIVATE KEY FILE|Too many authentication failures|not accessible"
)
WHEEL = "build/wheel/centernet_sophon_device-*.whl"


def failure(name: str, device: Device, status: int, printed: str, late_s: float | None) -> DeviceError:
    """Say what happened.

    Args:
        name: The device's name.
        device: What the settings say of it.
        status: Exit status of ssh, or of the agent on this machine; negative for a signal.
        printed: The end of what it printed.
        late_s: The time limit, where it was ended for that.

    Returns:
        The error to raise.
    """
    last = printed.splitlines()[-1] if printed else "it printed nothing"
    if late_s is not None:
        advice = "It hangs, or is slower than devices.*.copy_timeout or run_timeout allow: look at it, or raise that."
        return ConnectionLost(name, f"it was still at work after {late_s:g} s and was left. {advice}")
    if status == _SSH_FAILED and isinstance(device, SshDevice):
        return _of_ssh(name, device, printed, last)
    if status in (*_NOT_FOUND, agent.TOO_OLD):
        return _no_python(name, device, "has no program" if status in _NOT_FOUND else "has a Python older than 3.8 as")
    last = last.removeprefix("agent: ")
    if status == agent.REFUSED:
        advice = "Free some space there, or name another folder for it in the settings"
        return DeviceRefused(name, f"it cannot keep what is sent: {last}. {advice}.")
    if status in (agent.DAMAGED, agent.CUT_SHORT):
        return ConnectionLost(name, f"a file did not arrive whole: {last}. Nothing of it was kept; run it again.")
    return DeviceError(name, f"a command there ended with status {status}: {last}")


def not_started(name: str, device: Device, program: str, error: OSError) -> DeviceError:
    """Say that a program of this machine could not be started.

    Args:
        name: The device's name.
        device: What the settings say of it.
        program: ssh, or the device environment's Python.
        error: What the system says.
    """
    if isinstance(device, SshDevice):
        return SshMissing(name, f"{program} cannot be started here ({error.strerror}): apt-get install openssh-client")
    return _no_python(name, device, f"({error.strerror}) has no program")


def install_command(device: Device) -> str:
    """Return the one command that gives a device the package, run in the checkout."""
    python = python_of(device) or "python"
    if not isinstance(device, SshDevice):
        return f"make wheel && {shlex.join([python, '-m', 'pip', 'install'])} {WHEEL}"
    keyed = ["-i", str(device.key)] if device.key is not None else []
    port = [str(device.port)] if device.port is not None else []
    login = f"{device.user}@{device.host}" if device.user is not None else device.host
    copy = shlex.join(["scp", *keyed, *(["-P", *port] if port else [])])
    there = shlex.join(["ssh", *keyed, *(["-p", *port] if port else []), login])
    install = f"{shlex.join([python, '-m', 'pip', 'install'])} /tmp/{WHEEL.rpartition('/')[2]}"
    return f"make wheel && {copy} {WHEEL} {shlex.quote(login + ':/tmp/')} && {there} {shlex.quote(install)}"


def _of_ssh(name: str, device: SshDevice, printed: str, last: str) -> DeviceError:
    known = "~/.ssh/known_hosts" if device.known_hosts is None else str(device.known_hosts)
    place = f"{device.host}{f' port {device.port}' if device.port is not None else ''}"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in printed or "Host key for" in printed:
        return HostKeyChanged(
            name,
            f"{place} shows another key than the one in {known}. Either the device was installed anew, or somebody is "
            f"in between. Only when you know it is the first: ssh-keygen -f {shlex.quote(known)} -R {_entry(device)}",
        )
    if "Host key verification failed" in printed:
        return HostKeyUnknown(
            name,
            f'the key of {place} is not in {known}, and devices.{name}.new_host_keys = "refuse". Log in once by hand '
            'and compare the key, or set that to "record"',
        )
    if _LOGIN.search(printed):
        who = device.user or "this user"
        key = f"the key {device.key}" if device.key is not None else "any key that ssh has"
        return LoginRefused(
            name,
            f"{place} does not let {who} in with {key} ({last}). Put the public key into ~/.ssh/authorized_keys there, "
            "or correct user and key; passwords are never asked for",
        )
    if _UNREACHABLE.search(printed):
        return DeviceUnreachable(name, f"{place} cannot be reached: {last}. Is it on, and is that its address?")
    return ConnectionLost(name, f"the connection to {place} broke ({last}). What was copied is kept: run it again.")


def _entry(device: SshDevice) -> str:
    return shlex.quote(device.host if device.port in (None, 22) else f"[{device.host}]:{device.port}")


def _no_python(name: str, device: Device, what: str) -> DevicePythonMissing:
    python = python_of(device) or "python"
    own = "" if isinstance(device, LocalDevice | SshDevice) else " of this machine"
    return DevicePythonMissing(
        name,
        f"it {what} {python!r}{own}. Install Python 3.8 or newer there, or name the right one in devices.{name}.python",
    )
