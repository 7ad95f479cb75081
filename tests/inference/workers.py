"""What the tests of worker processes share."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def batch_of(first: float, shape: tuple = (1, 3, 4, 4)) -> np.ndarray:  # type: ignore[type-arg]
    batch = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    batch.flat[0] = first
    return batch


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


PARENT = """
    import sys, threading
    from pathlib import Path
    import numpy as np
    from inference.engines.worker import WorkerProcess
    process = WorkerProcess(Path(sys.argv[1]), Path(sys.argv[2]), log=Path(sys.argv[3]))
    print(process.pid, flush=True)
    batch = np.zeros((1, 3, 4, 4), np.float32)
    batch.flat[0] = float(sys.argv[4])
    process.run(batch)
    sys.stdin.read()
"""
