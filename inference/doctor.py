"""What this machine has for running a model, and what of a release would run on it.

It works where packages are missing, and says so: nothing beside Python is imported before it is known to be there.
"""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from inference.engines import sophon_sdk
from inference.engines.locate import simulator_python
from inference.errors import EngineNotFound

FOUND, MISSING, PROBLEM = "found", "missing", "problem"

OLDEST_PYTHON = (3, 8)
LEAST_FREE_BYTES = 500_000_000

_PACKAGES = (
    ("numpy", "numpy", True),
    ("OpenCV", "cv2", True),
    ("pydantic", "pydantic", True),
    ("requests", "requests", False),
)
"""Name, module, and whether a model cannot run without it."""

_HOW_TO_INSTALL = {
    "numpy": "pip install numpy",
    "OpenCV": "pip install opencv-python-headless, or use the one of the SDK (sophon-opencv)",
    "pydantic": "pip install 'pydantic>=2'",
    "requests": "pip install requests; only `pull` needs it",
}


class Finding(NamedTuple):
    """One thing that was looked for.

    Attributes:
        topic: What.
        state: ``found``, ``missing`` or ``problem``.
        value: What was found, or what is wrong.
        advice: How to get it, where it is not there.
    """

    topic: str
    state: str
    value: str
    advice: str = ""


class Examination(NamedTuple):
    """All that was found.

    Attributes:
        findings: One for each thing that was looked for.
        engine: What would run a model: ``sail`` or ``simulator``; None where nothing can.
        chip: The chip of the first device, where sail would run it and the chip is known.
    """

    findings: List[Finding]
    engine: Optional[str]
    chip: Optional[str]


def examine(root: Path = sophon_sdk.ROOT) -> Examination:
    """Look at the machine; nothing is changed and nothing is downloaded.

    Args:
        root: Where the file system begins.
    """
    findings = [_python(), *(_package(name, module) for name, module, _ in _PACKAGES)]
    needed = {name for name, _, is_needed in _PACKAGES if is_needed} | {"Python"}
    whole = all(one.state == FOUND for one in findings if one.topic in needed)
    findings += [_driver(root), _libsophon(root)]
    sail, found = _sail(root)
    findings += found
    devices = sophon_sdk.devices(sail, root) if sail is not None else []
    findings += _devices(devices, sail is not None)
    simulator = _simulator()
    findings += [simulator, *_storage()]
    engine = "sail" if devices else "simulator" if simulator.state == FOUND else None
    return Examination(findings, engine if whole else None, devices[0].chip if devices else None)


def fitting_model(model: str, examination: Examination) -> Dict[str, Any]:
    """Say which model of a release would run here.

    Args:
        model: A release's folder, a bmodel in one, or a reference that was pulled.
        examination: What the machine has; an engine among it.

    Returns:
        ``engine``, ``chip``, ``release``, ``version``, ``variant``, ``digest`` and ``path``.

    Raises:
        ModelError: There is no such release, nothing in it fits, or the file is for another chip than the device's.
        DeployError: It was not pulled.
        ArtifactError: The reference is malformed.
    """
    from inference.deploy.local import local_release
    from inference.errors import ModelError
    from inference.model import find_model

    path = local_release(model)
    found = find_model(path, chip=examination.chip if path.is_dir() else None)
    if examination.chip not in (None, found.variant.chip):
        raise ModelError(f"{path} is for {found.variant.chip}, but the device is a {examination.chip}", path)
    return {
        "engine": examination.engine,
        "chip": found.variant.chip,
        "release": found.release.name,
        "version": found.release.version,
        "variant": found.variant.path,
        "digest": found.chosen.blob.digest,
        "path": str(found.path),
    }


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", PROBLEM, version, "use Python 3.8 or newer")
    return Finding("Python", FOUND, f"{version} ({sys.executable})")


def _package(name: str, module: str) -> Finding:
    advice = _HOW_TO_INSTALL[name]
    try:
        version = str(getattr(importlib.import_module(module), "__version__", "of an unknown version"))
    except ModuleNotFoundError as error:
        missing = MISSING if error.name == module else PROBLEM
        return Finding(name, missing, f"there is no package {error.name}", advice)
    except Exception as error:  # OpenCV without libGL, numpy built for another processor
        return Finding(name, PROBLEM, f"it does not load: {error}", advice)
    if name == "pydantic" and version.startswith("1."):
        return Finding(name, PROBLEM, f"{version} is too old", advice)
    return Finding(name, FOUND, version)


def _driver(root: Path) -> Finding:
    if not sophon_sdk.has_driver(root):
        advice = "install the sophon-driver package of the SDK and plug in the card; only a device needs it"
        return Finding("driver", MISSING, "no /dev/bm-sophon*, /dev/bm-tpu* or /proc/bmsophon", advice)
    return Finding("driver", FOUND, sophon_sdk.driver_version(root) or "loaded; a SoC's does not tell its version")


def _libsophon(root: Path) -> Finding:
    version = sophon_sdk.libsophon_version(root)
    if version is None:
        advice = "install the sophon-libsophon package of the SDK; only a device needs it"
        return Finding("libsophon", MISSING, "no /opt/sophon/libsophon-current", advice)
    return Finding("libsophon", FOUND, version)


def _sail(root: Path) -> Any:
    """The vendor's module or None, and what there is to say about it."""
    stranger = sophon_sdk.false_package()
    found = []
    if stranger is not None:
        advice = "pip uninstall sophon: another project's package has the name of the SDK's"
        found = [Finding("package sophon", PROBLEM, f"{stranger} is not the SDK's: it has no sail", advice)]
    try:
        sail = sophon_sdk.find_sail(root)
    except EngineNotFound as error:
        return None, [*found, Finding("sail", MISSING, str(error))]
    version = getattr(sail, "__version__", "of an unknown version")
    return sail, [*found, Finding("sail", FOUND, f"{version} ({getattr(sail, '__file__', 'built in')})")]


def _devices(devices: List[sophon_sdk.Device], has_sail: bool) -> List[Finding]:
    if not devices:
        advice = "see what bm-smi and dmesg say" if has_sail else "sail is needed to ask for them"
        return [Finding("devices", MISSING, "none", advice)]
    return [
        Finding(
            f"device {one.number}",
            FOUND if one.chip else PROBLEM,
            one.chip or f"a chip of no known name: {one.reported}",
            "" if one.chip else "name the chip by --chip",
        )
        for one in devices
    ]


def _simulator() -> Finding:
    try:
        return Finding("simulator", FOUND, f"the compiler's environment, {simulator_python()}")
    except EngineNotFound as error:
        return Finding("simulator", MISSING, str(error), "not needed on a device")


def _storage() -> List[Finding]:
    try:
        from inference.deploy.places import CURRENT, reading_root, store_root
    except ImportError:  # a package is missing, which is said above
        return [_disk(Path.home())]
    reading = reading_root()
    current = reading / CURRENT
    if current.is_dir():
        used = Finding("release in use", FOUND, str(current.resolve()))
    else:
        used = Finding("release in use", MISSING, f"none in {reading}", "python -m inference pull REFERENCE")
    return [used, _disk(store_root())]


def _disk(folder: Path) -> Finding:
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    free = shutil.disk_usage(str(there)).free
    text = f"{free / 1e9:.1f} GB at {there}"
    if free < LEAST_FREE_BYTES:
        return Finding("free disk", PROBLEM, text, "free some, or set CENTERNET_DEVICE_STORE to a folder elsewhere")
    return Finding("free disk", FOUND, text)
