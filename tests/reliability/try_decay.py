"""Files decay.

Every file that a tiny build leaves (stored bytes, cache records, journals, explanations, downloads, the registry with
signature, signed channel and evidence, the release as plain files, locks) has a bit flipped at a seeded place, is cut
to half, emptied, removed, zeroed, or gives way to a folder or to a link elsewhere: several files at once, and some
alone. Then `python -m flows.verify_store` has to name it, or it has to be of no matter; then the build has to end in
the same release, byte for byte, or to name the file and what to do, and to end in it once that is done. The compiler is
a stand-in, the Prefect server a real one.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifacts.layout_audit import audit
from inference.deploy.verify import verify
from tests.artifacts.damage import KINDS
from tests.artifacts.layouts import publish
from tests.flows.conftest import runner
from tests.flows.decaying import Case, Decaying, Round
from tests.flows.tiny import TinyBuild
from tests.inference.deploy.test_verify import Device, misses
from tests.reliability.trials import Trials

SEED, TOGETHER, ALONE, FLIPS = 7, 20, 30, 1000


@pytest.fixture
def decaying(prefect_server: None, tmp_path: Path) -> Iterator[Decaying]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("build", "spare"):
            (tmp_path / name).mkdir()
        monkeypatch.setenv("CENTERNET_CACHE", str(tmp_path / "build" / "cache"))
        run: Callable[..., int] = lambda build, *arguments: runner(build, monkeypatch)(*arguments)  # noqa: E731
        yield Decaying(TinyBuild(tmp_path / "build"), run, tmp_path / "spare")


def try_every_file_of_a_build(decaying: Decaying, trials: Trials) -> None:
    chance, started = random.Random(SEED), time.monotonic()
    cases = decaying.cases()
    rounds = [decaying.tried(group, chance) for group in [*_together(cases, chance), *_alone(cases, chance)]]
    problems = [problem for one in rounds for problem in one.problems]
    assert not problems, "\n".join(problems)
    minutes = (time.monotonic() - started) / 60
    places = Counter(decaying.place(path) for one in rounds for path, _ in one.cases)
    for place, count in sorted(places.items()):
        restored = sum(decaying.place(path) == place for one in rounds for path in one.restored)
        trials.tried(
            place, count, note=f"healed by the next build or of no matter: {count - restored}; restored: {restored}"
        )
    total, named = sum(len(one.cases) for one in rounds), sum(one.named for one in rounds)
    harmless = Counter(why for one in rounds for why in one.harmless)
    trials.say(
        f"{total} cases in {len(rounds)} builds, {ALONE} of them with one file, {minutes:.0f} minutes, seed {SEED}. "
        f"`verify_store` named {named}. The other {total - named} it cannot see or need not: "
        + "; ".join(f"{why} ({count})" for why, count in harmless.most_common())
        + "."
    )
    trials.say(_restored(decaying, rounds))


def _together(cases: list[Case], chance: random.Random) -> Iterator[list[Case]]:
    left = chance.sample(cases, len(cases))
    while left:
        group = dict(reversed(left))
        chosen = [(path, group[path]) for path in chance.sample(sorted(group), min(TOGETHER, len(group)))]
        left = [case for case in left if case not in chosen]
        yield chosen


def _alone(cases: list[Case], chance: random.Random) -> list[list[Case]]:
    return [[case] for case in chance.sample(cases, ALONE)]


def _restored(decaying: Decaying, rounds: list[Round]) -> str:
    found = Counter(decaying.name(path) for one in rounds for path in one.restored)
    parts = Counter(
        "bytes of signatures and evidence in the registry" if "/blobs/" in name else f"`{name}`" for name in found
    )
    return "To be restored or moved away: " + ", ".join(sorted(parts)) + "."


def try_each_bit_of_the_tags(tmp_path: Path, trials: Trials) -> None:
    root = tmp_path / "registry"
    publish(root, "1.0.0")
    publish(root, "1.1.0", "1.1.0", "latest")
    path, chance = root / "index.json", random.Random(SEED)
    sound = path.read_bytes()
    for _ in range(FLIPS):
        data = bytearray(sound)
        place = chance.randrange(len(data))
        data[place] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        assert audit(root), f"byte {place}: {bytes(data[max(0, place - 30) : place + 30])!r}"
    trials.tried("a bit of index.json", FLIPS, note=f"each was found, also where it left good JSON; seed {SEED}")


def try_every_file_of_a_device(tmp_path: Path, trials: Trials) -> None:
    device, chance = Device(tmp_path), random.Random(SEED)
    assert verify(device.store) == []
    cases = [(path, kind) for kind in KINDS for path in device.files()]
    problems = [problem for path, kind in cases for problem in misses(device, path, kind, chance)]
    assert not problems, "\n".join(problems)
    note = (
        "named by `releases --verify`; detection ran what was published or refused; the next pull put it right, where "
        "a folder lay in a file's place or the state could not be read after that was removed"
    )
    trials.tried("a device's store with two releases", len(cases), note=note)
