"""A device that a release is validated on, the way to it, and what came back from it."""

from __future__ import annotations

from pathlib import Path

from tasks.errors.base import TaskError


class DeviceError(TaskError):
    """A release could not be validated on a device.

    Attributes:
        device: the device's name in the settings.
    """

    def __init__(self, device: str, message: str) -> None:
        super().__init__(f"device {device}: {message}")
        self.device = device


class DeviceUnknown(TaskError):
    """The settings have no such device."""


class DeviceLimitMissing(DeviceError):
    """Prefect has no limit that keeps two validations off one device; whoever runs the server has to make it.

    Attributes:
        limit: its name.
    """

    def __init__(self, device: str, limit: str) -> None:
        super().__init__(
            device,
            f"Prefect's server has no concurrency limit {limit!r}, without which two validations would use the device "
            f"at once. Make it, once: prefect gcl create {limit} --limit 1",
        )
        self.limit = limit


class DeviceUnreachable(DeviceError):
    """Nobody answers at the device's address; its power, the network or `devices` in the settings want looking at."""


class ConnectionLost(DeviceError):
    """The connection ended before the work did; run it again."""


class HostKeyChanged(DeviceError):
    """The device shows another key than the one that is known; somebody has to find out why before going on."""


class HostKeyUnknown(DeviceError):
    """The device was never seen, and the settings refuse what was never seen."""


class LoginRefused(DeviceError):
    """The device does not let us in; user and key want looking at."""


class SshMissing(DeviceError):
    """This machine has no ssh."""


class DevicePythonMissing(DeviceError):
    """The device has no such Python, or one that is too old; `devices` in the settings or the device want changing."""


class DevicePackageMissing(DeviceError):
    """The Python there does not have the device package, or something that it needs."""


class DeviceEngineMissing(DeviceError):
    """Nothing on the device can run a model; the vendor's runtime has to be installed there."""


class DeviceRefused(DeviceError):
    """The device cannot keep what it is sent: its disk is full, or the folder is not this user's."""


class DeviceRunFailed(DeviceError):
    """The validation failed on the device.

    Attributes:
        log_path: what it printed.
    """

    def __init__(self, device: str, message: str, log_path: Path) -> None:
        super().__init__(device, f"{message} All that it printed: {log_path}.")
        self.log_path = log_path


class ReportRefused(DeviceError):
    """The report that came back is not about what was sent."""
