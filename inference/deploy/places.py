"""Where the device store lies on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping, Optional

STORE_VARIABLE = "CENTERNET_DEVICE_STORE"
SYSTEM_STORE = Path("/var/lib/centernet-sophon")

CURRENT, PREVIOUS = "current", "previous"


def store_root(
    given: Optional[Path] = None, environment: Optional[Mapping[str, str]] = None, *, system: Path = SYSTEM_STORE
) -> Path:
    """Choose the folder that releases are pulled into.

    In this order: the one given; ``$CENTERNET_DEVICE_STORE``; ``/var/lib/centernet-sophon`` where this user may write
    it; ``centernet-sophon`` in the user's own data folder (XDG Base Directory Specification).

    Args:
        given: The folder to use; nothing else is looked at then.
        environment: Environment variables; None takes this process's own.
        system: The machine-wide store.

    Returns:
        The folder, which need not exist.
    """
    named = _named(given, environment)
    if named is not None:
        return named
    return system if _writable(system) else _user_store(environment)


def reading_root(
    given: Optional[Path] = None, environment: Optional[Mapping[str, str]] = None, *, system: Path = SYSTEM_STORE
) -> Path:
    """Choose the folder that releases are run from: the one of `store_root`, or the machine-wide one.

    A model that the administrator pulled may be run by every user, who may not write there.

    Args:
        given: The folder to use; nothing else is looked at then.
        environment: Environment variables; None takes this process's own.
        system: The machine-wide store.

    Returns:
        The folder, which need not exist.
    """
    named = _named(given, environment)
    if named is not None:
        return named
    own = store_root(environment=environment, system=system)
    return own if (own / CURRENT).exists() or not (system / CURRENT).exists() else system


def _named(given: Optional[Path], environment: Optional[Mapping[str, str]]) -> Optional[Path]:
    variable = (os.environ if environment is None else environment).get(STORE_VARIABLE)
    named = given or (Path(variable) if variable else None)
    return None if named is None else named.absolute()


def _user_store(environment: Optional[Mapping[str, str]]) -> Path:
    # Empty counts as unset, and a relative path is ignored.
    base = Path((os.environ if environment is None else environment).get("XDG_DATA_HOME") or "")
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "centernet-sophon"


def _writable(folder: Path) -> bool:
    there = folder if folder.exists() else folder.parent
    return there.is_dir() and os.access(str(there), os.W_OK | os.X_OK)
