"""Finding the targets, and the inputs that once broke them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import targets

CASES = Path(__file__).parent / "cases"


class Target(NamedTuple):
    """One parser under test.

    Attributes:
        name: Of its module in `tests.fuzz.targets`.
        run: Takes an input.
        seeds: Gives valid samples.
        json: Whether inputs should mostly stay JSON.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    json: bool


def names() -> tuple[str, ...]:
    """The names of all targets."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(targets.__path__)))


def load(name: str) -> Target:
    """Import a target.

    Args:
        name: One of `names`.
    """
    module = importlib.import_module(f"{targets.__name__}.{name}")
    return Target(name, module.target, module.seeds, getattr(module, "JSON", False))


def cases(name: str) -> tuple[Path, ...]:
    """The inputs that once broke a target."""
    folder = CASES / name
    return tuple(sorted(folder.iterdir())) if folder.is_dir() else ()
