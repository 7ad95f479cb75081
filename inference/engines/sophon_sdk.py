"""What the vendor's SDK left on this machine: its Python module, its devices, the versions of driver and runtime.

This module and `inference.engines.sail` are all that touches the hardware. It needs neither numpy nor pydantic.

Sources: sophgo/sophon-sail, docs/source_en, "Basic function" and "sail.Handle" under module_python, and 3_build.rst on
where its files go; the LIBSOPHON user guide, "Introduction of proc file system" (``/proc/bmsophon``, PCIe cards only).
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence

from inference.errors import EngineError, EngineNotFound

PACKAGE = "sophon"
ROOT = Path("/")

HOW_TO_GET_SAIL = (
    "it is not on the public package index: install the sophon-sail wheel of the device's own SDK release, built for "
    "this Python"
)

CHIP_NAMES = {
    "BM1684": "BM1684",
    "BM1684X": "BM1684X",
    "BM1688": "BM1688",
    "CV186AH": "CV186X",
    "CV186X": "CV186X",
    # /proc/bmsophon/card*/chipid
    "0X1684": "BM1684",
    "0X1684X": "BM1684X",
    "0X1686": "BM1684X",
    "0X1688": "BM1688",
    "0X1686A200": "BM1688",
}
"""What sail, the driver and the kernel call a chip, in capitals, and what the compiler writes into a bmodel for it."""


class Device(NamedTuple):
    """One TPU.

    Attributes:
        number: What ``--device`` takes.
        chip: As bmodels name it; None where neither sail nor the driver says a name that is known.
        reported: What sail calls it.
    """

    number: int
    chip: Optional[str]
    reported: str


def find_sail(root: Path = ROOT) -> Any:
    """Import the vendor's module ``sophon.sail``.

    Python's own search path comes first; then the places that the SDK and the system's Python install into, which a
    virtual environment does not see.

    Args:
        root: Where the file system begins.

    Returns:
        The module.

    Raises:
        EngineNotFound: It is not there, is for another Python, or does not load; or another package has its name.
    """
    try:
        return importlib.import_module(f"{PACKAGE}.sail")
    except ModuleNotFoundError as error:
        if error.name not in (PACKAGE, f"{PACKAGE}.sail"):
            raise EngineNotFound(f"sophon.sail needs the package {error.name}: install it beside") from error
    except ImportError as error:
        raise _unloadable(error) from error
    unfit: List[Path] = []
    for package in _package_folders(root):
        files = sorted(package.glob("sail*"))
        if any(file.name == f"sail{suffix}" for file in files for suffix in importlib.machinery.all_suffixes()):
            try:
                return _import_beside(package.parent)
            except ImportError as error:
                raise _unloadable(error) from error
        unfit += [file for file in files if file.suffix == ".so"]
    if unfit:
        version = ".".join(map(str, sys.version_info[:2]))
        raise EngineNotFound(f"{unfit[0]} is built for another Python than this one ({version}): {HOW_TO_GET_SAIL}")
    stranger = false_package()
    if stranger is not None:
        raise EngineNotFound(
            f"the package {PACKAGE!r} at {stranger} is not the SDK's: it has no sail. Another project owns that name "
            f"on the public package index; uninstall it. As for sail: {HOW_TO_GET_SAIL}"
        )
    raise EngineNotFound(f"there is no module sophon.sail: {HOW_TO_GET_SAIL}")


def false_package() -> Optional[str]:
    """Where a package ``sophon`` lies that is not the SDK's, or None. The SDK's own has a module ``sail``."""
    try:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or importlib.util.find_spec(f"{PACKAGE}.sail") is not None:
            return None
    except (ImportError, ValueError, AttributeError):
        spec = None  # it fails while it is imported, or is no package at all
    loaded = sys.modules.get(PACKAGE)
    if spec is None:
        return str(getattr(loaded, "__file__", None) or "an unknown place")
    return spec.origin or ", ".join(spec.submodule_search_locations or ["an unknown place"])


def devices(sail: Any, root: Path = ROOT) -> List[Device]:
    """List the devices that the driver offers.

    Args:
        sail: The vendor's module.
        root: Where the file system begins.

    Returns:
        One entry each, by number; none where there is no device or no driver.
    """
    try:
        count = int(sail.get_available_tpu_num())
    except Exception:  # SailDeviceError, where sail has it: no driver
        return []
    found = []
    for number in range(count):
        try:
            found.append(open_device(sail, number, root))
        except EngineError as error:
            found.append(Device(number, None, f"cannot be opened ({error.__cause__})"))
    return found


def open_device(sail: Any, number: int, root: Path = ROOT) -> Device:
    """Ask one device which chip it is.

    Args:
        sail: The vendor's module.
        number: The device.
        root: Where the file system begins.

    Raises:
        EngineError: There is no such device, or it cannot be opened.
    """
    try:
        reported = str(sail.Handle(number).get_target())
    except Exception as error:
        raise EngineError(
            f"device {number} cannot be opened: {error}. See with bm-smi which devices there are, and whether this "
            "user may open /dev/bm-sophon*"
        ) from error
    return Device(number, chip_name(reported) or _chip_of_machine(root), reported)


def chip_name(reported: str) -> Optional[str]:
    """The chip as bmodels name it, or None where the name is not known.

    Args:
        reported: What sail, the driver or the kernel calls it.
    """
    return CHIP_NAMES.get(reported.strip().upper())


def driver_version(root: Path = ROOT) -> Optional[str]:
    """The version of the driver of PCIe cards, or None: there is none, or this is a SoC, whose driver does not say."""
    text = _read(root / "proc/bmsophon/driver_version")
    match = re.search(r"(\d+(?:\.\d+)+)", text)
    return match.group(1) if match else text.strip() or None


def has_driver(root: Path = ROOT) -> bool:
    """Whether a driver offers devices: ``/dev/bm-sophon0`` on PCIe cards, ``/dev/bm-tpu0`` on a SoC."""
    return (
        (root / "proc/bmsophon").is_dir() or any((root / "dev").glob("bm-sophon*")) or (root / "dev/bm-tpu0").exists()
    )


def libsophon_version(root: Path = ROOT) -> Optional[str]:
    """The version of the runtime that ``/opt/sophon/libsophon-current`` leads to, or None where there is none."""
    current = root / "opt/sophon/libsophon-current"
    if not current.is_dir():
        return None
    _, _, version = current.resolve().name.partition("-")
    return version or "unknown"


def _package_folders(root: Path) -> List[Path]:
    """Folders ``sophon`` outside of Python's search path, where the SDK's module may lie."""
    version = "python{}.{}".format(*sys.version_info[:2])
    packages = [
        root / "usr/lib/python3/dist-packages",
        *(root / base / version / kind for base in ("usr/local/lib", "usr/lib") for kind in _PACKAGE_KINDS),
        Path.home() / ".local/lib" / version / "site-packages",
    ]
    vendor = root / "opt/sophon"
    found = [folder for depth in ("*", "*/*", "*/*/*") for folder in sorted(vendor.glob(f"{depth}/{PACKAGE}"))]
    return [folder for folder in [*(place / PACKAGE for place in packages), *found] if folder.is_dir()]


_PACKAGE_KINDS: Sequence[str] = ("dist-packages", "site-packages")


def _import_beside(folder: Path) -> Any:
    """Import ``sophon.sail`` from a folder that is on the search path for just that long."""
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]  # a stranger of that name
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        return importlib.import_module(f"{PACKAGE}.sail")
    finally:
        sys.path.remove(str(folder))


def _unloadable(error: ImportError) -> EngineNotFound:
    return EngineNotFound(
        f"sophon.sail is installed but does not load: {error}. Where a library is missing, libsophon's lib folder "
        "(/opt/sophon/libsophon-current/lib) is not on the loader's path; where a symbol is, sail and libsophon are of "
        "different SDK releases: install both from one"
    )


def _chip_of_machine(root: Path) -> Optional[str]:
    """The chip by the driver's files (PCIe) or the processor's name (SoC), where all devices are of one kind."""
    cards = {chip_name(_read(path)) for path in sorted((root / "proc/bmsophon").glob("card*/chipid"))}
    if len(cards) == 1:
        return cards.pop()
    match = re.search(r"^model name\s*:\s*(\S+)", _read(root / "proc/cpuinfo"), re.MULTILINE)
    return chip_name(match.group(1)) if match and not cards else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n")
    except OSError:
        return ""
