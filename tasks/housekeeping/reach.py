"""What recent runs and releases reach in a store: cache records by their keys, and bytes by their digests. Pure.

A journal names the key of every step that its run used. A release keeps the run that made it, so that building that
release again finds everything. What a kept step was made from is kept as well, as far as its explanation tells.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from tasks.housekeeping.releases import Release
from tasks.keys import Fields, key_of

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KEY = re.compile(r"(?P<first>[A-Za-z_]\w*-[0-9a-f]{64})(-(?P<generation>[0-9]+))?")


class Run(NamedTuple):
    """One run, as its journal tells.

    Attributes:
        name: The run's id.
        recent: Whether it was within the days that are kept.
        time: When its journal was last written, seconds since the epoch.
        keys: Of the steps that it used.
    """

    name: str
    recent: bool
    time: float
    keys: frozenset[str]


class Stored(NamedTuple):
    """One cache record.

    Attributes:
        name: Its file's name: the key, where it is a step's.
        recent: Whether it was written within the days that are kept.
        names: The digests that it names.
    """

    name: str
    recent: bool
    names: frozenset[str]


class Reached(NamedTuple):
    """What stays.

    Attributes:
        records: Names of cache records.
        digests: Of bytes.
        runs: Names of runs whose journals stay.
        keys: Keys, each of its first generation, whose explanations stay.
    """

    records: frozenset[str]
    digests: frozenset[str]
    runs: frozenset[str]
    keys: frozenset[str]


def digests_in(text: str) -> frozenset[str]:
    """Return all digests that a text names."""
    return frozenset(_DIGEST.findall(text))


def is_key(name: str) -> bool:
    """Tell whether a record is a step's; Prefect keeps the exceptions of failed runs beside them, as it likes."""
    return _KEY.fullmatch(name) is not None


def first_generation(name: str) -> str:
    """Return the key of a record's first generation; a name that is no key of a step is returned as it is."""
    found = _KEY.fullmatch(name)
    return name if found is None else found["first"]


def reached(
    records: Collection[Stored],
    runs: Collection[Run],
    releases: Iterable[Release],
    explanations: Iterable[Fields],
) -> Reached:
    """Find out what stays.

    Args:
        records: All cache records.
        runs: All runs.
        releases: The releases that stay.
        explanations: What keys were made from, as far as it is known.

    Returns:
        What recent runs and the releases reach.
    """
    known = {one.name: one for one in records}
    listed = list(releases)
    kept_runs = [run for run in runs if run.recent]
    kept_runs += [run for release in listed if (run := maker(release, runs, known)) is not None]
    used = {key for run in kept_runs for key in run.keys}
    # A small set of digests, such as those of an empty file, may be anybody's: only what a release is made from counts.
    parts = {digest for release in listed for digest in release.made_from}
    kept = {one.name for one in records if one.name in used or one.recent or not parts.isdisjoint(one.names)}
    firsts = frozenset(first_generation(name) for name in kept | used)
    digests = {digest for name in kept for digest in known[name].names}
    for fields in explanations:
        if key_of(fields) in firsts:
            digests |= {digest for fact in fields.values() if isinstance(fact, str) for digest in digests_in(fact)}
    return Reached(
        records=frozenset(kept | _placeholders(kept, known)),
        digests=frozenset(digests | parts),
        runs=frozenset(run.name for run in kept_runs),
        keys=firsts,
    )


def maker(release: Release, runs: Iterable[Run], records: Mapping[str, Stored]) -> Run | None:
    """Find the run that made a release, as far as journals tell.

    Args:
        release: The release.
        runs: All runs.
        records: All cache records, by name.

    Returns:
        Of the runs that made or used every bmodel of it the one that had most of its other files, then the newest: two
        builds may give the same bmodels and differ in what was measured.
    """
    found: tuple[int, float] = (0, 0.0)
    best: Run | None = None
    for run in runs:
        named = {digest for key in run.keys if key in records for digest in records[key].names}
        fits = (len(release.made_from & named), run.time)
        if release.models <= named and (best is None or fits > found):
            found, best = fits, run
    return best


def _placeholders(kept: Iterable[str], known: Mapping[str, Stored]) -> set[str]:
    """Name the damaged records before a kept one: a later generation is only looked for behind those."""
    found = set()
    for name in kept:
        key = _KEY.fullmatch(name)
        if key is not None and key["generation"] is not None:
            first = key["first"]
            found |= {first, *(f"{first}-{number}" for number in range(1, int(key["generation"])))}
    return found & set(known)
