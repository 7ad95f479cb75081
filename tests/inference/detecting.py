"""Running ``detect`` in tests, and looking at what it left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List

from inference.__main__ import main


def run(release: Path, source: Any, output: Path, *options: str) -> int:
    return main(["detect", "--model", str(release), "--input", str(source), "--output", str(output), *options])


def results(output: Path) -> List[Any]:
    found = json.loads((output / "detections.json").read_text())
    assert isinstance(found, list)
    return found


def names(folder: Path) -> List[str]:
    return sorted(path.name for path in folder.iterdir())
