"""The devices on which a finished release is validated."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from artifacts.variant import Chip
from settings.locations import LocalPath
from settings.part import Part, Seconds

SIMULATOR = "simulator"
"""The device that is always there."""

# The name is part of a folder's name, of a limit's name in Prefect and of a variable's name.
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_HOST = re.compile(r"[A-Za-z0-9:]([A-Za-z0-9._:%-]*[A-Za-z0-9])?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class _Device(Part):
    """What all kinds have."""

    copy_timeout: Seconds = Field(default=3600, description="copying everything to the device, seconds")
    run_timeout: Seconds = Field(default=6 * 3600, description="running the model on all images, seconds")


def _one_line(text: str) -> str:
    if not text.strip() or _CONTROL.search(text):
        raise ValueError("is empty or holds control characters")
    return text


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("is no host name or address")
    return text


def _user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise ValueError("is no user name")
    return text


# Text and not a path: it is looked for on the device, by its shell or by us.
Program = Annotated[
    str, AfterValidator(_one_line), Field(json_schema_extra={"allowed": "an absolute path, or a name on the PATH"})
]


class SimulatorDevice(_Device):
    """The vendor's simulator on this machine."""

    kind: Literal["simulator"] = Field(default="simulator", description="the vendor's simulator on this machine")
    python: Program | None = Field(
        default=None, description="Python with the device package; none takes the build's own, with this checkout"
    )


class _RealDevice(_Device):
    engine: Literal["sail", "simulator", "auto"] = Field(
        default="sail", description="what runs the model there; auto may fall back to a simulator"
    )
    tpu: int = Field(default=0, ge=0, le=255, description="which TPU, as bm-smi numbers them")
    chip: Chip | None = Field(default=None, description="its chip; none asks the device")
    preprocess: Literal["host", "bmcv"] = Field(
        default="host", description="what decodes and prepares images there: the processor, or bmcv on the chip"
    )


class LocalDevice(_RealDevice):
    """A PCIe card in this machine."""

    kind: Literal["local"] = Field(description="a PCIe card in this machine")
    python: Program | None = Field(
        default=None, description="Python with the device package; none takes the build's own, with this checkout"
    )


class SshDevice(_RealDevice):
    """A device with an operating system of its own, a SoC or a host with a card, reached over ssh."""

    kind: Literal["ssh"] = Field(description="a SoC, or a host with a card, reached over ssh")
    host: Annotated[str, AfterValidator(_host)] = Field(
        description="name or address, or a Host of ~/.ssh/config", json_schema_extra={"allowed": "a name or an address"}
    )
    port: int | None = Field(default=None, ge=1, le=65535, description="port of sshd; none leaves it to ssh, mostly 22")
    user: Annotated[str, AfterValidator(_user)] | None = Field(
        default=None, description="who to log in as; none leaves it to ssh"
    )
    key: LocalPath | None = Field(
        default=None, description="file with the private key; none leaves it to ssh and its agent"
    )
    known_hosts: LocalPath | None = Field(
        default=None, description="file with the host keys that are trusted; none is ssh's own"
    )
    new_host_keys: Literal["refuse", "record"] = Field(
        default="refuse",
        description="a host that was never seen: refuse it, or record its key and enforce it from then on",
    )
    # Every kind has this key in one form, as a value is read before its device's kind is known.
    python: Program | None = Field(
        default=None, description="Python with the device package, on the device; none takes python3"
    )
    folder: Annotated[str, AfterValidator(_one_line)] = Field(
        default="centernet-validation",
        description="folder on the device for what is copied there; below the user's home unless absolute",
        json_schema_extra={"allowed": "a path on the device"},
    )
    connect_timeout: Seconds = Field(default=15, description="reaching the device, seconds")


Device = Annotated[SimulatorDevice | LocalDevice | SshDevice, Field(discriminator="kind")]


def _named_well(devices: dict[str, Device]) -> dict[str, Device]:
    wrong = [name for name in devices if not _NAME.fullmatch(name) or len(name) > 40]
    if wrong:
        raise ValueError(f"{wrong[0][:60]!r} cannot be a device's name: use small letters, digits and dashes")
    return devices


def python_of(device: Device) -> str | None:
    """Return the Python that runs the device package, None for the build's own."""
    return device.python or ("python3" if isinstance(device, SshDevice) else None)


Devices = Annotated[dict[str, Device], AfterValidator(_named_well)]


def nearest_device(name: str, devices: Mapping[str, Device]) -> str:
    """Say which devices there are, and which one was most likely meant.

    Args:
        name: What was asked for and is not there.
        devices: Those that are.
    """
    close = difflib.get_close_matches(name, devices, n=1)
    meant = f", did you mean {close[0]}?" if close else "."
    return f"there is no device {name!r}{meant} The settings have: {', '.join(sorted(devices))}"
