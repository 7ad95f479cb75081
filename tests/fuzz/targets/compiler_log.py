"""What the compiler prints: diagnoses, rounds counted, and its estimate of the latency."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from tasks.toolchain.command import estimated_ms
from tasks.toolchain.diagnose import diagnose
from tasks.toolchain.run import share_done
from tests.fuzz.places import written

_SAMPLES = Path(__file__).parents[2] / "tasks" / "toolchain" / "data" / "logs"


def target(data: bytes) -> None:
    """Read the end of a log, and a profile."""
    text = data.decode("utf-8", "replace")
    found = diagnose(text)
    assert found is None or (found.cause and found.remedy)
    assert 0 <= share_done(written("log", data), 200) <= 1
    estimate = estimated_ms(text)
    assert estimate is None or math.isfinite(estimate)


def seeds() -> Iterator[bytes]:
    """Logs of commands that failed and that did not."""
    for path in sorted(_SAMPLES.glob("*.txt")):
        yield path.read_bytes()[-4000:]
    yield b" 17%|#  | 34/200 [00:01<00:02]\nruntime: 0.395412ms\n"
