"""What may go in a build's store. Reads, and changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from artifacts.flocks import is_locked
from tasks import journal
from tasks.housekeeping.model import DAY_S, Age, Found, Item, Kind, counted, entries, newest
from tasks.housekeeping.reach import Reached, Run, Stored, digests_in, is_key, reached
from tasks.housekeeping.releases import Releases
from tasks.keys import Fields, key_of
from tasks.workspace import Workspace

_LOCKS = ".locks"
_BLOB = re.compile(r"[0-9a-f]{64}")
_MAX_RECORD_BYTES = 256 << 20


class Survey(NamedTuple):
    """What is in a store.

    Attributes:
        items: What may go.
        reached: What stays; None where that cannot be told.
        notes: What is to be said.
    """

    items: tuple[Item, ...]
    reached: Reached | None
    notes: tuple[str, ...]


def survey_store(workspace: Workspace, releases: Releases, fingerprints: Collection[str], age: Age) -> Survey:
    """Look through a store.

    Args:
        workspace: Where it is.
        releases: What is in the registry.
        fingerprints: Of the compilers that stay on this machine.
        age: What counts as old.

    Returns:
        What may go. Reports of validations and the keys of hosts stay whatever their age.
    """
    notes = _dated_ahead(workspace, age)
    items = [*_aged(workspace, age), *_layer_groups(workspace, fingerprints, age), *_scratch(workspace)]
    if releases.problems:
        notes.append("what releases need cannot be told, so all cache records and stored files stay")
        return Survey(tuple(items), None, tuple(notes))
    records = list(_records(workspace, age, notes))
    journals = entries(workspace.journals)
    runs = [run for found in journals if (run := _run(workspace, found, age, notes)) is not None]
    explanations = [(found, _explanation(found)) for found in entries(workspace.explanations)]
    kept = reached(
        [stored for _, stored in records],
        runs,
        releases.found,
        [fields for _, fields in explanations if fields is not None],
    )
    items += [found.item(Kind.RECORD, _WHY) for found, stored in records if stored.name not in kept.records]
    items += _locks(workspace, kept, age)
    items += [
        found.item(Kind.EXPLANATION, "its step was not used since")
        for found, fields in explanations
        if age.old(found) and (fields is None or key_of(fields) not in kept.keys)
    ]
    items += [
        found.item(Kind.JOURNAL, "of an old run that made no release that is kept")
        for found in journals
        if age.old(found) and found.path.is_file() and found.path.stem not in kept.runs
    ]
    items += _blobs(workspace, kept, age, notes)
    return Survey(tuple(items), kept, tuple(notes))


_WHY = "no release and no recent run reaches them"


def _records(workspace: Workspace, age: Age, notes: list[str]) -> Iterator[tuple[Found, Stored]]:
    damaged = 0
    for found in entries(workspace.records):
        if found.path.name == _LOCKS:
            continue
        try:
            if found.stat.st_size > _MAX_RECORD_BYTES:
                raise OSError("it is too large to be one")
            text = found.path.read_bytes().decode("utf-8", "replace")
        except OSError as error:
            notes.append(f"the cache record {found.path} cannot be read and stays: {error.strerror or error}")
            continue
        whole = not is_key(found.path.name) or _is_record(text)
        damaged += not whole
        # What is no record is none to a build either, which makes it again.
        yield found, Stored(found.path.name, whole and not age.old(found), digests_in(text) if whole else frozenset())
    if damaged:
        notes.append(f"damaged, so that builds take no notice: {counted(damaged, 'cache record')}")


def _is_record(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _run(workspace: Workspace, found: Found, age: Age, notes: list[str]) -> Run | None:
    try:
        lines = journal.read(workspace, found.path.stem)
    except (OSError, ValidationError) as error:
        notes.append(f"the journal {found.path} cannot be read: {error}")
        return None
    keys = frozenset(entry.key for entry in lines if entry.key)
    return Run(found.path.stem, not age.old(found), found.stat.st_mtime, keys)


def _explanation(found: Found) -> Fields | None:
    with suppress(OSError, ValueError):
        fields = json.loads(found.path.read_bytes())
        if isinstance(fields, dict) and "step" in fields:
            return fields
    return None


def _blobs(workspace: Workspace, kept: Reached, age: Age, notes: list[str]) -> Iterator[Item]:
    strays = 0
    for found in entries(Path(workspace.store) / "blobs" / "sha256"):
        if _BLOB.fullmatch(found.path.name) is None or not found.path.is_file():
            strays += 1
        elif age.old(found) and f"sha256:{found.path.name}" not in kept.digests:
            yield found.item(Kind.BLOB, _WHY)
    if strays:
        notes.append(
            f"among the stored files, not named by a digest and so not ours: {counted(strays, 'file')}, staying"
        )


def _locks(workspace: Workspace, kept: Reached, age: Age) -> Iterator[Item]:
    for found in entries(workspace.records / _LOCKS):
        if age.old(found) and found.path.name not in kept.records:
            yield found.item(Kind.RECORD, _WHY)


def _aged(workspace: Workspace, age: Age) -> Iterator[Item]:
    content = workspace.content
    folders = (
        (workspace.logs, Kind.LOG, "of old runs"),
        (content.root / "quarantine", Kind.QUARANTINE, "damaged files, kept for inspection long enough"),
        (content.incoming, Kind.INCOMING, "nobody has gone on with them"),
    )
    for folder, kind, why in folders:
        yield from (found.item(kind, why) for found in entries(folder) if age.old(found))


def _layer_groups(workspace: Workspace, fingerprints: Collection[str], age: Age) -> Iterator[Item]:
    here = {fingerprint.rpartition(":")[2][:16] for fingerprint in fingerprints}
    for found in entries(workspace.layer_groups):
        recent = age.now - newest(found.path) <= age.days * DAY_S
        if found.path.name not in here and not recent:
            yield found.item(Kind.LAYER_GROUPS, "their compiler is not on this machine")


def _scratch(workspace: Workspace) -> Iterator[Item]:
    for found in entries(workspace.content.root / "scratch"):
        if not found.path.name.endswith(".lock") and not _held(found.path):
            yield found.item(Kind.SCRATCH, "their process is dead")


def _held(path: Path) -> bool:
    return is_locked(path.with_name(path.name + ".lock") if path.is_dir() else path)


def _dated_ahead(workspace: Workspace, age: Age) -> list[str]:
    folders = (workspace.records, workspace.journals, Path(workspace.store) / "blobs" / "sha256")
    count = sum(age.ahead(found) for folder in folders for found in entries(folder))
    if not count:
        return []
    dated = f"dated in the future in {workspace.store}: {counted(count, 'file')}, staying"
    return [f"{dated}. Is this machine's clock right?"]
