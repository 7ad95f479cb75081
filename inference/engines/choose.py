"""Choosing the engine by what the machine has."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional

from inference.engines import ENGINE_NAMES
from inference.engines.base import Engine
from inference.engines.locate import simulator_python
from inference.engines.sail import SailEngine
from inference.engines.simulator import SimulatorEngine
from inference.engines.sophon_sdk import devices, find_sail, has_driver, open_device
from inference.errors import EngineError, EngineNotFound, OptionError


class EngineWish(NamedTuple):
    """What was asked for.

    Attributes:
        name: ``auto``, ``sail`` or ``simulator``.
        device: Which TPU, for sail.
        python: The compiler environment's Python, for the simulator; None looks for it.
    """

    name: str = "auto"
    device: int = 0
    python: Optional[Path] = None


def choose_engine(wish: EngineWish) -> str:
    """Choose: what was named, or a device with sail, else the simulator.

    Args:
        wish: What was asked for.

    Returns:
        ``sail`` or ``simulator``.

    Raises:
        OptionError: There is no engine of that name, or the device's number is negative.
        EngineNotFound: This machine has neither; the message says how to get each.
    """
    check_wish(wish)
    if wish.name != "auto":
        return wish.name
    problem = sail_problem()
    if problem is None:
        return "sail"
    try:
        simulator_python(wish.python)
    except EngineNotFound as error:
        raise EngineNotFound(f"this machine has no engine. sail: {problem}. simulator: {error}") from error
    return "simulator"


def check_wish(wish: EngineWish) -> None:
    """Refuse a wish that no machine can fulfil.

    Raises:
        OptionError: There is no engine of that name, or the device's number is negative.
    """
    if wish.name not in ENGINE_NAMES:
        raise OptionError(f"there is no engine {wish.name!r}: choose one of {', '.join(ENGINE_NAMES)}")
    if wish.device < 0:
        raise OptionError(f"there is no device {wish.device}: bm-smi numbers them from 0")


def sail_problem() -> Optional[str]:
    """Why no model can run on a device here, or None where one can."""
    try:
        sail = find_sail()
    except EngineNotFound as error:
        return str(error)
    if devices(sail):
        return None
    if has_driver():
        return "the driver is loaded, but sail finds no device: see what bm-smi and dmesg say"
    return "sail is here, but no device: install the driver of the SDK (`sophon-driver`), and look at dmesg"


def preferred_chip(wish: EngineWish) -> Optional[str]:
    """The chip of the device that would be used; None with the simulator, and where nothing tells.

    Args:
        wish: What was asked for.

    Raises:
        OptionError: There is no engine of that name, or the device's number is negative.
    """
    check_wish(wish)
    if wish.name == "simulator":
        return None
    try:
        return open_device(find_sail(), wish.device).chip
    except EngineError:
        return None  # opening the engine says it


def open_engine(bmodel: Path, chip: Optional[str], wish: EngineWish) -> Engine:
    """Choose an engine and load a model into it.

    Args:
        bmodel: The compiled file.
        chip: The chip that it has to be for; None takes the one that it names.
        wish: What was asked for.

    Raises:
        OptionError: There is no engine of that name, or the device's number is negative.
        EngineNotFound: This machine has no such engine.
        ModelError: The file is missing or damaged, is for another chip, or is no CenterNet of ours.
        EngineError: The engine failed to start.
    """
    if choose_engine(wish) == "sail":
        return SailEngine(bmodel, device=wish.device, chip=chip)
    return SimulatorEngine(bmodel, chip=chip, python=wish.python)
