"""Ask the Python that tpu-nntc works in what is there."""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

from artifacts.files import storage_errors
from artifacts.scratch import scratch_folder, sweep_parts
from settings.nntc import OLDEST, NntcSettings, as_numbers
from tasks.errors import ToolchainMissing
from tasks.toolchain.launch import launch
from tasks.toolchain.model import Toolchain
from tasks.toolchain.nntc import launcher
from tasks.toolchain.nntc.command import LIMIT
from tasks.toolchain.run import environment

log = logging.getLogger(__name__)

THREADS = 2

_LOGS_KEPT_S = 7 * 24 * 3600.0
_ANSWER = "centernet-sophon: "
_HANGS = (
    "Start that Python by hand, after scripts/envsetup.sh where there is an archive: perhaps it waits for a network "
    "drive, a proxy or an input. The log is what it said."
)

# For Python 3.5 and later; the vendor's images have an old one. Of a package that is there twice, the first counts.
_LOOK = f"""
import importlib.util, json, shutil
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
packages = {{}}
try:
    from importlib.metadata import distributions
    for one in distributions():
        if one.metadata["Name"]:
            packages.setdefault(one.metadata["Name"], one.version)
except ImportError:
    pass
if not packages:
    try:
        import pkg_resources
        packages = {{one.project_name: one.version for one in pkg_resources.working_set}}
    except ImportError:
        pass
packages = sorted("%s==%s" % one for one in packages.items())
lacking = [name for name in ("bmnetp", "ufw.cali.cali_model") if not there(name)]
lacking += [name for name in ("bmnetu",) if shutil.which(name) is None]
print({_ANSWER!r} + json.dumps({{"lacking": lacking, "packages": packages}}))
"""


def packages_of(found: Toolchain, settings: NntcSettings, scratch: Path, timeout_s: float) -> list[str]:
    """Ask the Python that tpu-nntc works in what it has; refuse it where something is missing or too old.

    Args:
        found: Its programs.
        settings: Where it is, for messages.
        scratch: Where working folders are made.
        timeout_s: Longest time, in seconds.

    Returns:
        Its packages as name==version, sorted; empty where that Python cannot tell, which is remarked.

    Raises:
        ToolchainMissing: It does not start or answer, its modules are not there, or it is too old.
        StoreNotWritable: The cache folder cannot be written.
    """
    logs = scratch.with_name("logs")
    # Its own, as another build may look at the same time; kept where something is wrong.
    log_path = logs / f"{Path(found.root).name}-{os.getpid()}-{secrets.token_hex(3)}.log"
    with storage_errors(logs):
        logs.mkdir(parents=True, exist_ok=True)
    sweep_parts(logs, _LOGS_KEPT_S)
    with scratch_folder(scratch, "look") as home, log_path.open("wb") as sink:
        try:
            status = launch(
                [str(found.bin / "python3"), "-c", _LOOK],
                environment={**environment(found, home, THREADS), LIMIT: f"{timeout_s:.0f}"},
                sink=sink,
                timeout_s=timeout_s,
                folder=home,
            )
        except subprocess.TimeoutExpired:
            reason = f"its Python did not answer within {timeout_s:g} s"
            raise ToolchainMissing(reason, log_path, way_out=_HANGS) from None
    packages = _judged(settings, log_path, status)
    log_path.unlink()
    return packages


def _judged(settings: NntcSettings, log_path: Path, status: int) -> list[str]:
    said = log_path.read_text(errors="replace")
    answer = _answer(said)
    if status != 0 or answer is None:
        reason, way_out = _silent(settings, launcher.ENDED in said, status)
        raise ToolchainMissing(reason, log_path, way_out=way_out)
    if answer["lacking"]:
        raise ToolchainMissing(f"what was named has no {', '.join(answer['lacking'])}", log_path)
    packages = [str(one) for one in answer["packages"]]
    versions = dict(one.split("==", 1) for one in packages if "==" in one)
    if "bmnetp" not in versions:
        log.warning(
            "tpu-nntc: its Python tells no version of bmnetp (%s): whether it is %s or newer was not checked",
            f"{len(packages)} packages found" if packages else "it has neither importlib.metadata nor setuptools",
            OLDEST,
        )
    elif _is_old(versions["bmnetp"]):
        raise ToolchainMissing(f"its bmnetp is {versions['bmnetp']}, older than {OLDEST}", log_path)
    return packages


def _silent(settings: NntcSettings, ended: bool, status: int) -> tuple[str, str]:
    """Why there is no answer, and what to do then."""
    if ended:
        return (
            f"{settings.folder}/{launcher.SETUP} ends the shell that reads it (exit status {status})",
            "See in the log what it does not find, unpack the archive anew, and use it with the image that belongs to "
            "it; where the Python needs no preparation, leave out `toolchain.nntc.folder`.",
        )
    wanted = "python` has to name a Python 3" if settings.image is None else "image` has to name one with a Python 3"
    way_out = f"See what it says in the log; `toolchain.nntc.{wanted} that starts."
    if status == 0:
        return "what was started as its Python gives no answer, so it is no Python 3", way_out
    return f"its Python does not start (exit status {status})", way_out


def _answer(log: str) -> dict[str, Any] | None:
    lines = [line.removeprefix(_ANSWER) for line in log.splitlines() if line.startswith(_ANSWER)]
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and {"lacking", "packages"} <= set(answer) else None


def _is_old(version: str) -> bool:
    numbers = [*version.partition("+")[0].split("."), "0", "0"][:3]
    return all(one.isdigit() for one in numbers) and as_numbers(".".join(numbers)) < as_numbers(OLDEST)
