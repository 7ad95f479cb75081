"""Hostile input.

Whatever comes from elsewhere is handed to what reads it: files that are none, checkpoints that want to run code, images
that claim too much, documents without one meaning, archives that lead elsewhere, records of a server in wrong hands.
Each has to be refused as its reader declares, or read, within 1 GiB of memory beyond what was there and 10 s of
processor time, and nothing of it may run. Lost is what ended otherwise. The limits are in [limits.md](limits.md).
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from tests.fuzz import loading
from tests.fuzz.findings import ROOT
from tests.fuzz.mutation import mutated
from tests.hostile import archives, checkpoints, documents, files, images, releases
from tests.hostile.case import Case, held
from tests.reliability.trials import Trials

PACKAGES = ("pydantic", "numpy", "opencv-python-headless", "torch")
_PROPERTIES = tuple(f"tests/{side}/test_properties.py" for side in ("artifacts", "inference", "tasks", "settings"))

_MENDED = (
    "Found on the way and mended, besides tracebacks in place of messages: a PNG of 72 bytes whose last "
    "chunk claims 4 GB made OpenCV take them; the scans of a progressive JPEG, 56 of which took 14 s in "
    "0.4 MB, had no limit; 8 MB of a release record that is a list of wrong things took 7 GB to say so; a "
    "reference of 60 000 characters took 12 s to be refused; a pipe under the name of a checkpoint or a "
    "bmodel was waited for; evidence larger than 4 MiB could be attached and never read again; a bmodel "
    "whose time lies upon its other fields was damaged by being normalised."
)


def _tried(trials: Trials, what: str, cases: Iterable[Case], note: str = "") -> None:
    failed, times = [], 0
    for case in cases:
        times += 1
        try:
            held(case)
        except Exception as error:
            failed.append(f"{case.name}: {type(error).__name__}: {str(error)[:200]}")
    assert not failed, failed[:20]
    trials.tried(what, times, note=note)


def try_what_lies_under_a_name(trials: Trials, tmp_path: Path) -> None:
    note = f"{len(files.READERS)} readers; nothing there, a folder, a pipe, a device without end, a ring, 3 GiB, empty"
    _tried(trials, "a file that is something else", files.cases(tmp_path), note)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def try_checkpoints(trials: Trials, tmp_path: Path) -> None:
    _tried(trials, "checkpoint", checkpoints.cases(tmp_path, 10_000), "30 calls in five disguises; 10 000 mutated")


def try_images(trials: Trials) -> None:
    _tried(trials, "image", images.cases(30_000), "bombs by size, chunk, scans and profile; 30 000 mutated")


def try_documents(trials: Trials, tmp_path: Path) -> None:
    _tried(trials, "annotations and settings", documents.cases(tmp_path, 10_000), "10 000 changed, for each side")


def try_archives(trials: Trials, tmp_path: Path) -> None:
    _tried(trials, "zip archive", archives.cases(tmp_path, 10_000), "10 000 mutated")


def try_records(trials: Trials) -> None:
    _tried(trials, "release record, manifest, signature", releases.cases(5_000), "5000 changed, of each of six kinds")


def try_every_reader_with_samples_that_were_changed(trials: Trials) -> None:
    def cases() -> Iterable[Case]:
        for name in loading.names():
            target, dice = loading.load(name), random.Random(name)
            samples = list(target.seeds())
            for number in range(1000):
                data = _changed(dice.choice(samples), dice, target.json)
                yield Case(f"{name} {number}", partial(target.run, data))

    _tried(trials, "every reader, samples changed", cases(), f"{len(loading.names())} readers, 1000 each")


def try_what_once_broke_a_reader(trials: Trials) -> None:
    found = [(name, path) for name in loading.names() for path in loading.cases(name)]
    cases = [Case(path.name, partial(loading.load(name).run, path.read_bytes())) for name, path in found]
    _tried(trials, "what once broke a reader", cases, "`tests/fuzz/cases`")


def try_properties(trials: Trials) -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=many", *_PROPERTIES]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    [passed] = re.findall(r"(\d+) passed", done.stdout)
    trials.say(_MENDED)
    trials.tried("property of a pure part", int(passed), note="up to 1000 examples of each, by hypothesis")


def _changed(sample: bytes, dice: random.Random, is_json: bool) -> bytes:
    found = mutated(sample, dice.randrange(2**32), 1 << 16) if is_json else None
    data = bytearray(found if found is not None else sample)
    if found is None or dice.random() < 0.2:
        for _ in range(dice.choice((1, 2, 4, 16))):
            match dice.randrange(3):
                case 0 if data:
                    data[dice.randrange(len(data))] = dice.randrange(256)
                case 1 if data:
                    del data[dice.randrange(len(data))]
                case _:
                    data.insert(dice.randrange(len(data) + 1), dice.choice(b'\0\xff "\\{[]},:%/\n0'))
    return bytes(data)
