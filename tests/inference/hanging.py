"""``detect`` as a process, on a stand-in device whose chip stops answering."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Tuple

import cv2

from artifacts.release import PreprocessSpec, Variant
from tests.inference.releases import write_release
from tests.inference.sail_files import STAND_IN, sail_bmodel
from tests.inference.videos import picture

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0

# What hangs: the call after so many that are answered, or the loading of the model.
PROGRAM = """
import sys, threading, time
import numpy as np
import sophon.sail as sail
from inference.__main__ import main
from inference.engines import sail as engine
answered, limit_s, where = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
engine.ANSWER_S = engine.LOAD_S = limit_s
count = []
def hang(*given):
    print("hangs", flush=True)
    threading.Event().wait(600)
def compute(stored):
    count.append(1)
    if len(count) > answered:
        hang()
    return np.zeros((1, 7, 8, 8), np.float32)
if where == "load":
    sail.Engine.__init__ = hang
sail.compute = compute
sys.exit(main(sys.argv[4:]))
"""


def write_case(folder: Path, images: int = 4) -> Tuple[Path, Path]:
    """Write a release for the stand-in device and some images; return both folders."""
    variant, spec = Variant(chip="BM1684X", precision="fp32", batch=1), PreprocessSpec(width=32, height=32)
    release = write_release(folder / "release", {variant: sail_bmodel()}, spec=spec)
    (folder / "images").mkdir()
    for number in range(images):
        assert cv2.imwrite(str(folder / "images" / f"{number}.png"), picture(number))
    return release, folder / "images"


def start(
    case: Tuple[Path, Path], output: Path, *, answered: int, limit_s: float, where: str = "run"
) -> subprocess.Popen[str]:
    """Start it; it prints `hangs` once the chip does not answer any more."""
    options = ["detect", "--model", str(case[0]), "--input", str(case[1]), "--output", str(output), "--engine", "sail"]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(answered), str(limit_s), where, *options],
        cwd=str(ROOT),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(STAND_IN), str(ROOT)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )


def ended(process: subprocess.Popen[str]) -> Tuple[int, str, float]:
    """Wait for its end; return the exit status, what it complained of, and how long that took from now."""
    started = time.monotonic()
    try:
        complaint = process.communicate(timeout=DEADLINE_S)[1]
    finally:
        process.kill()
    return process.returncode, complaint, time.monotonic() - started
