"""Downloads through random sequences of faults; what each comes to is checked."""

from __future__ import annotations

import random
import time
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

from tasks.download import Item, Source, fetch, fetch_many
from tasks.errors import DownloadError
from tests.tasks.sources import origin as o
from tests.tasks.sources import slow
from tests.tasks.sources.support import QUICK, Waits, names, sha256, source_of

SIZE = 200_003
CONTENT = o.numbered(SIZE)
CHANGED = o.numbered(SIZE, seed=5_000_000)
LIMIT_S = 60.0

PATIENT = QUICK.model_copy(
    update={"attempts": 8, "read_timeout_s": 0.5, "min_rate": 100_000, "rate_window_s": 0.3, "deadline_s": 3600.0}
)
YEAR = {"Retry-After": str(365 * 86400)}


def _claims(content_range: str) -> o.Act:
    return o.status(206, {"Content-Range": content_range})


def _other_once(exchange: o.Exchange, content: bytes) -> None:
    o.serve(exchange, CHANGED)


def _same_mark(exchange: o.Exchange, content: bytes) -> None:
    """Other bytes under the mark of the right ones."""
    o._answer(exchange, CHANGED, o.etag(content))


# What passes: the right bytes come when it is over.
PASSING: dict[str, o.Act] = {
    "cut": o.cut(50_000),
    "cut at once": o.cut(0),
    "reset": o.reset(70_000),
    "stall": o.stall(30_000),
    "drip": o.drip(60_000),
    "no ranges": o.no_ranges,
    "416": o.status(416),
    "429 for a year": o.status(429, YEAR),
    "500": o.status(500),
    "502": o.status(502),
    "503 for a year": o.status(503, YEAR),
    "wrong range": _claims("bytes 7-8/9"),
    "no range": _claims("bytes x"),
    "broken chunks": o.broken_chunks,
    "short redirect": o.redirect("/good"),
    **{act.__name__: act for act in (*slow.HEADS, *slow.BODIES)},
}
# What does not: such a mirror is given up, and the next one asked.
LASTING: dict[str, o.Act] = {
    "page": o.page,
    "page without length": o.page_without_length,
    "other file of the size": _other_once,
    "other bytes, same mark": _same_mark,
    "circle": o.redirect("/circle"),
    "to a file": o.redirect("file:///etc/passwd"),
    "to nowhere": o.redirect("http://:0/"),
    "404": o.status(404),
    "403": o.status(403),
    "gzip": o.gzipped,
    "more than all": o.chunked_and_more,
    "numbers that are none": o.status(200, {"Content-Length": "9" * 5000}),
}


class Outcome:
    """What came of many downloads.

    Attributes:
        right: Ended with the right bytes.
        told: Ended with an error of ours; the next try, from an honest server, ended with the right bytes.
        lost: What ended otherwise, in words.
        faults: How often each fault was met.
        longest_s: The longest one.
    """

    def __init__(self) -> None:
        self.right = self.told = 0
        self.lost: list[str] = []
        self.faults: Counter[str] = Counter()
        self.longest_s = 0.0

    def noting(self, fault: str) -> o.Act:
        """Return what a fault does, and note it once it was met."""

        def act(exchange: o.Exchange, content: bytes) -> None:
            self.faults[fault] += 1
            {**PASSING, **LASTING}[fault](exchange, content)

        return act


def downloads(folder: Path, count: int, seed: int) -> Outcome:
    """Download a file so many times, each through faults of its own, from one mirror or two."""
    chance, outcome = random.Random(seed), Outcome()
    with o.running() as origin:
        origin.put("/good", CONTENT)
        origin.put("/circle", b"", otherwise=o.redirect("/circle"))
        for number in range(count):
            mirrors = [_mirror(origin, f"/{number}/{one}", chance, outcome) for one in range(chance.choice((1, 1, 2)))]
            _one(folder / str(number), source_of(CONTENT, *mirrors, size=chance.random() < 0.7), origin, outcome)
    return outcome


def _mirror(origin: o.Origin, path: str, chance: random.Random, outcome: Outcome) -> str:
    faults = chance.choices(list(PASSING), k=chance.randint(0, 4))
    if chance.random() < 0.3:
        faults.append(chance.choice(list(LASTING)))
    return origin.put(path, CONTENT, *(outcome.noting(fault) for fault in faults))


def _one(folder: Path, source: Source, origin: o.Origin, outcome: Outcome) -> None:
    folder.mkdir()
    target = folder / "a"
    clock = Waits().clock(monotonic=time.monotonic)
    started = time.monotonic()
    try:
        fetch(source, target, options=PATIENT, clock=clock)
        outcome.right += 1
    except DownloadError as error:
        outcome.told += 1
        if target.exists():
            outcome.lost.append(f"{source.mirrors}: a file in place after {error}")
        honest = source_of(CONTENT, f"{origin.url}/good")
        fetch(honest, target, options=PATIENT, clock=clock)
    except Exception as error:
        outcome.lost.append(f"{source.mirrors}: {error!r}")
    seconds = time.monotonic() - started
    outcome.longest_s = max(outcome.longest_s, seconds)
    if seconds > LIMIT_S:
        outcome.lost.append(f"{source.mirrors}: took {seconds:.0f} s")
    if names(folder) != ["a"] or target.read_bytes() != CONTENT:
        outcome.lost.append(f"{source.mirrors}: left {names(folder)}")


def images(folder: Path, count: int, share: float, seed: int) -> Outcome:
    """Download so many files of one list, a share of whose requests fails; lists are asked for until one is whole."""
    chance, outcome = random.Random(seed), Outcome()
    contents = [o.numbered(chance.randint(5_000, 60_000), seed=1000 * number) for number in range(count)]
    names_of = {f"/val2017/{number:012}.jpg": content for number, content in enumerate(contents)}

    def weather(exchange: o.Exchange, content: bytes) -> None:
        with exchange.origin.guard:
            fault = chance.choice(list(PASSING)) if chance.random() < share else ""
            outcome.faults.update([fault] if fault else [])
        (PASSING[fault] if fault else o.serve)(exchange, content)

    with o.running() as origin:
        origin.put("/good", b"no image")
        items = []
        for path, content in names_of.items():
            url = origin.put(path, content, otherwise=weather)
            source = Source(name=path[1:], mirrors=(url,), size=len(content), digest=sha256(content))
            items.append(Item(source=source, target=folder / path[1:]))
        started = time.monotonic()
        clock = Waits().clock(monotonic=time.monotonic)
        for _ in range(10):
            try:
                fetch_many(items, options=PATIENT, clock=clock)
                break
            except DownloadError:
                outcome.told += 1
        outcome.longest_s = time.monotonic() - started
    for item, content in zip(items, contents, strict=True):
        if item.target.is_file() and item.target.read_bytes() == content:
            outcome.right += 1
        else:
            outcome.lost.append(f"{item.source.name} is not what it should be")
    return outcome


def members(folder: Path, count: int, seed: int) -> Outcome:
    """Take a member out of a zip so many times, by ranges of a server that lies about some of them."""
    chance, outcome = random.Random(seed), Outcome()
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("annotations/bulk", o.numbered(300_000, seed=77))
        archive.writestr("annotations/a.json", CONTENT)
    with o.running() as origin:
        origin.put("/good", packed.getvalue())
        for number in range(count):
            faults = chance.choices([*PASSING, *LASTING], k=chance.randint(0, 3))
            acts = [act for fault in faults for act in (o.serve, outcome.noting(fault))]
            url = origin.put(f"/{number}.zip", packed.getvalue(), *acts[chance.randint(0, 1) :])
            place = folder / str(number)
            place.mkdir()
            source = source_of(CONTENT, f"zip+{url}!/annotations/a.json", f"zip+{origin.url}/good!/annotations/a.json")
            _one_member(place, source, outcome)
    return outcome


def _one_member(folder: Path, source: Source, outcome: Outcome) -> None:
    started = time.monotonic()
    try:
        fetch(source, folder / "a", options=PATIENT, clock=Waits().clock(monotonic=time.monotonic))
        outcome.right += 1
    except Exception as error:
        outcome.lost.append(f"{source.mirrors}: {error!r}")
    outcome.longest_s = max(outcome.longest_s, time.monotonic() - started)
    if names(folder) != ["a"] or (folder / "a").read_bytes() != CONTENT:
        outcome.lost.append(f"{source.mirrors}: left {names(folder)}")
