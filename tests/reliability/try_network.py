"""The network lies.

Mirrors, registries and what stands between, seen from the build. Real servers on the loopback that fail by a seeded
script; a download or a push has to end in the right bytes or in an error of ours, within a minute, with nothing wrong
under a final name, and the next try has to go on. Time-outs are shortened (30 s to a half or a whole one), waits
between tries are not waited for.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from artifacts.reference import parse_reference
from artifacts.store import Blob, ContentStore
from tasks.download import fetch
from tasks.errors import DownloadError, ExchangeError
from tasks.exchange.registry import RegistryExchange
from tests.artifacts.remote import storm as pushes
from tests.artifacts.remote.debian import docker_registry
from tests.artifacts.remote.faulty import PASSING, Proxy
from tests.reliability.trials import NOTHING, Trials
from tests.tasks.sources import origin as o
from tests.tasks.sources import slow, storm
from tests.tasks.sources.support import HASTY, Waits, source_of

PACKAGES = ("requests", "urllib3", "remotezip")


def told(lost: list[str]) -> str:
    assert lost == [], "\n".join(lost[:20])
    return NOTHING


def kinds(faults: Counter[str]) -> str:
    return f"{sum(faults.values())} faults of {len(faults)} kinds"


def try_downloads_through_a_storm(trials: Trials, tmp_path: Path) -> None:
    outcome = storm.downloads(tmp_path, 300, seed=2027)
    note = f"{outcome.right} right at once, {outcome.told} told and right at the next try; {kinds(outcome.faults)}"
    trials.tried(
        "a download from one or two mirrors, each with up to five faults",
        300,
        told(outcome.lost),
        f"{note}; the longest took {outcome.longest_s:.0f} s; seed 2027",
    )


def try_images_one_by_one(trials: Trials, tmp_path: Path) -> None:
    outcome = storm.images(tmp_path, 200, 0.05, seed=2029)
    trials.tried(
        "an image of a list of 200, 5 % of whose requests fail",
        200,
        told(outcome.lost),
        f"{kinds(outcome.faults)}; the list was asked for again {outcome.told} times; {outcome.longest_s:.0f} s in "
        "all; seed 2029",
    )


def try_members_of_a_zip(trials: Trials, tmp_path: Path) -> None:
    outcome = storm.members(tmp_path, 60, seed=2028)
    trials.tried(
        "a member of a zip by ranges that are lied about, with an honest mirror behind",
        60,
        told(outcome.lost),
        f"{kinds(outcome.faults)}; the longest took {outcome.longest_s:.0f} s; seed 2028",
    )


def try_servers_that_are_never_done(trials: Trials, tmp_path: Path) -> None:
    lost, longest, times = [], 0.0, 0
    with o.running() as origin:
        for number, act in enumerate((*slow.HEADS, *slow.BODIES) * 5):
            started = time.monotonic()
            url = origin.put(f"/{number}", storm.CONTENT, otherwise=act)
            options = HASTY.model_copy(update={"attempts": 2})
            place = tmp_path / str(number)
            try:
                fetch(source_of(storm.CONTENT, url), place, options=options, clock=Waits().clock())
                # All of the body had come, and only the lines behind it were without end.
                if act is not slow.dripping_trailer or place.read_bytes() != storm.CONTENT:
                    lost.append(f"{act.__name__} was taken for an answer")
            except DownloadError:
                pass
            times += 1
            longest = max(longest, time.monotonic() - started)
    assert longest < 30
    trials.tried(
        "a server that sends a byte now and then where no time-out of the network strikes",
        times,
        told(lost),
        f"status, header, headers, interim answers, a chunk's length, trailer; two tries of 1 s each ended within "
        f"{longest:.1f} s. Before, interim answers or a header that is sent so kept a download for days",
    )


def try_pushes_through_a_storm(trials: Trials, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as place:
        outcome = pushes.pushes(tmp_path, place, 100, seed=3031)
    trials.tried(
        "a release pushed to Debian's docker-registry through a proxy at which 15 % of the requests fail",
        100,
        told(outcome.lost),
        f"{outcome.done} done at once, {outcome.told} told and done at the next try; {kinds(outcome.faults)}; every "
        f"blob read back from the registry; the longest took {outcome.longest_s:.0f} s; no password went to the other "
        "server that uploads were sent to; seed 3031",
    )


def try_the_exchange_through_a_storm(trials: Trials, tmp_path: Path) -> None:
    limits = pushes.LIMITS.model_copy(update={"backoff_s": 0.0, "retry_after_cap_s": 0.0})
    chance, lost, unreachable = random.Random(4041), [], 0
    here, there = ContentStore(tmp_path / "here"), ContentStore(tmp_path / "there")
    with docker_registry(tmp_path / "registry") as place, Proxy(place) as proxy:
        exchange = RegistryExchange(parse_reference(f"{proxy.place}/work"), limits)
        for number in range(60):
            blob = here.put_bytes(chance.randbytes(chance.randint(1, 200_000)))
            proxy.weather = lambda method, path: chance.choice(PASSING) if chance.random() < 0.15 else ""
            for last in (False, True):
                try:
                    _handed_over(exchange, f"key-{number}", blob, here, there)
                    break
                except ExchangeError as error:
                    unreachable += 1
                    proxy.weather = lambda method, path: ""
                    if last:
                        lost.append(f"{number}: {error}")
            if not there.is_sound(blob):
                lost.append(f"{number}: the other machine does not have {blob.digest}")
        faults = Counter(proxy.met)
    trials.tried(
        "bytes and a record handed from one machine to another over such a registry",
        60,
        told(lost),
        f"{kinds(faults)}; {unreachable} were told and done at the next try; seed 4041",
    )


def _handed_over(exchange: RegistryExchange, key: str, blob: Blob, here: ContentStore, there: ContentStore) -> None:
    exchange.offer([blob], here)
    exchange.put_record(key, key.encode(), [blob])
    # That there is none, or a damaged one, has to be believed: the step is done again.
    assert exchange.record(key) in (key.encode(), b"", None)
    exchange.fetch(blob, there)
