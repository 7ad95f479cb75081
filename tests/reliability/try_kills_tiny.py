"""Kill anything between the commands.

The same with tiny builds and a stand-in compiler that takes no time, so that more of the kills hit the moments between
its commands: look-ups, records, the journal, the report, the registry.
"""

from __future__ import annotations

from pathlib import Path

from tests.reliability.chains import tell, tiny_chains
from tests.reliability.trials import Trials

KILLS = 60


def try_tiny_builds(trials: Trials, server: str, tmp_path: Path) -> None:
    tell(trials, "`kill -9` in tiny builds", tiny_chains(KILLS, server, tmp_path))
