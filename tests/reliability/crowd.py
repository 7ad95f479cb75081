"""Several builds at once in one folder, and what must be true of them together."""

from __future__ import annotations

import fcntl
import random
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks import journal
from tasks.journal import Outcome
from tests.flows.folder import BuildFolder

PATIENCE_S = 900.0


def made_by_all(build: BuildFolder) -> Counter[str]:
    """How often each slot was made, by all runs together."""
    runs = [path.stem for path in build.workspace.journals.glob("*.jsonl")]
    entries = [entry for run in runs for entry in journal.read(build.workspace, run)]
    return Counter(entry.slot for entry in entries if entry.outcome is Outcome.MADE)


def ends(processes: Sequence[subprocess.Popen[Any]], killed: int, chance: random.Random, span_s: float) -> list[str]:
    """Wait for builds, some of which are killed at random moments.

    Args:
        processes: The builds, just started.
        killed: How many are killed.
        chance: Chooses which and when.
        span_s: The latest moment, seconds from now.

    Returns:
        What the others said; each ended with 0.
    """
    victims = chance.sample(list(processes), killed)
    for victim in victims:
        time.sleep(chance.uniform(0.0, span_s / max(killed, 1)))
        victim.kill()
    said = []
    for process in processes:
        shown = process.communicate(timeout=PATIENCE_S)[1]
        if process not in victims:
            assert process.returncode == 0, shown
            said.append(shown)
    return said


def held_locks(*places: Path) -> list[Path]:
    """Lock files that somebody holds."""
    held = []
    for path in (path for place in places for path in place.rglob("*lock*") if path.is_file()):
        with path.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(path)
    return held
