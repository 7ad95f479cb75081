"""Pushes to a real registry through a proxy that fails; what each comes to is checked at the registry itself."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import List

from pydantic import SecretStr

from artifacts import layout
from artifacts.digest import digest_bytes
from artifacts.errors import ArtifactError
from artifacts.oci import read_index
from artifacts.reference import Reference
from artifacts.remote.access import Access, Credentials
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import Clock, Limits
from artifacts.remote.push import packed, push
from tests.artifacts.releases import release
from tests.artifacts.remote.faulty import LASTING, PASSING, Proxy
from tests.artifacts.remote.liar import Liar, basic

LIMITS = Limits(connect_s=5, read_s=1.0, commit_s=1.0, attempts=6, rate_window_s=1.0, min_rate=1024, reserve=1 << 16)
ACCESS = Access(given=Credentials(user="alice", password=SecretStr("wonder")))
LIMIT_S = 60.0


class Outcome:
    """What came of many pushes.

    Attributes:
        done: Said to be done, and whole at the registry.
        told: Ended with an error of ours; the next push, through an honest network, was done.
        lost: What ended otherwise, in words.
        faults: How often each fault was met.
        longest_s: The longest one.
    """

    def __init__(self) -> None:
        self.done = self.told = 0
        self.lost: List[str] = []
        self.faults: Counter[str] = Counter()
        self.longest_s = 0.0


def pushes(folder: Path, registry: str, count: int, seed: int, share: float = 0.15) -> Outcome:
    """Push a release so many times, each to a repository of its own and through faults of its own.

    Args:
        folder: An empty one.
        registry: A real registry, `host:port`.
        count: How many.
        seed: Of the faults.
        share: Of the requests that meet one.
    """
    chance, outcome = random.Random(seed), Outcome()
    record, files = release(folder / "built", "1.0.0")
    root = folder / "layout"
    layout.publish(root, record, files, ["1.0.0", "latest"])
    with Liar() as elsewhere, Proxy(registry, elsewhere) as proxy:
        for number in range(count):
            kinds = [*PASSING, *(LASTING if chance.random() < 0.2 else ())]
            proxy.weather = lambda method, path, kinds=kinds: (  # type: ignore[misc]
                chance.choice(kinds) if chance.random() < share else ""
            )
            _one(root, proxy, registry, f"storm/{seed}-{number}", outcome)
        outcome.faults.update(proxy.met)
        if any(basic("alice", "wonder") in one.headers.values() for one in elsewhere.asked):
            outcome.lost.append("our password was sent elsewhere")
    return outcome


def _one(root: Path, proxy: Proxy, registry: str, repository: str, outcome: Outcome) -> None:
    target = Reference(kind="remote", place=proxy.place, repository=repository, name="1.0.0")
    clock, started = Clock(sleep=lambda seconds: None), time.monotonic()
    try:
        push(root, "1.0.0", target, channels=["latest"], access=ACCESS, limits=LIMITS, clock=clock)
        outcome.done += 1
    except ArtifactError as error:
        outcome.told += 1
        outcome.lost += _wrong(root, registry, repository, whole=False, after=str(error))
        proxy.weather = lambda method, path: ""
        push(root, "1.0.0", target, channels=["latest"], access=ACCESS, limits=LIMITS, clock=clock)
    except Exception as error:
        outcome.lost.append(f"{repository}: {error!r}")
        return
    seconds = time.monotonic() - started
    outcome.longest_s = max(outcome.longest_s, seconds)
    outcome.lost += _wrong(root, registry, repository, whole=True, after=f"{seconds:.0f} s")
    if seconds > LIMIT_S:
        outcome.lost.append(f"{repository}: took {seconds:.0f} s")


def _wrong(root: Path, registry: str, repository: str, whole: bool, after: str) -> List[str]:
    """Ask the registry itself: what a tag names must be the release, with every byte of it."""
    parcel, wrong = packed(root, "1.0.0"), []
    with RemoteRegistry(registry, repository, access=Access()) as honest:
        for tag in ("1.0.0", "latest"):
            found = honest.tag_digest(tag)
            if found is None and not whole:
                continue
            if found != parcel.digest:
                wrong.append(f"{repository}: {tag} names {found} after {after}")
                continue
            try:
                index = honest.resolve(tag)[1]
                small = [honest.read(child.blob, 1 << 22) for child in read_index(index)]
                small += [honest.read(blob, 1 << 26) for blob in parcel.blobs]
            except ArtifactError as error:
                wrong.append(f"{repository}: {tag} is incomplete ({error}) after {after}")
                continue
            known = {*map(digest_bytes, parcel.children.values()), *(blob.digest for blob in parcel.blobs)}
            if {digest_bytes(data) for data in small} != known:
                wrong.append(f"{repository}: {tag} has other bytes after {after}")
    return wrong
