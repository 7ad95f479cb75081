"""The store of a build: bytes, cache records, journals and what explains them. Reads, and changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from artifacts.checking import Problem, Wanted, check_files
from artifacts.in_use import LOCK_NAME
from artifacts.store import Blob
from tasks.housekeeping.model import counted, entries
from tasks.housekeeping.reach import first_generation, is_key
from tasks.journal import Entry
from tasks.keys import key_of
from tasks.soundness.model import RUN_AGAIN, Meter, Part, Remedy, Trouble, in_the_way
from tasks.soundness.records import Named, read_record
from tasks.workspace import Workspace

_LOCKS = ".locks"
_KEPT = re.compile(r"[0-9]+\.[0-9a-f]{64}")
_CLEANED = "nothing needs it: make clean-store removes it when it is old"


def check_store(workspace: Workspace, meter: Meter) -> list[Part]:
    """Look at everything in a store.

    Args:
        workspace: Where it is.
        meter: Counts what is hashed.

    Returns:
        What was found; nothing where there is no store.
    """
    root = Path(workspace.store)
    if not root.is_dir():
        return []
    damaged = workspace.content.verify_all(meter)
    records, troubles = _records(workspace)
    named = {blob: name for name, one in records.items() for blob in one.needed}
    logs = {blob: name for name, one in records.items() for blob in one.logs}
    stored = [*_damaged(damaged, named, logs), *_lost(workspace, named, {problem.path.name for problem in damaged})]
    keys, journals = _journals(workspace)
    # A log that a build may be writing to is none of this.
    locks = [root / LOCK_NAME, root / ".lock"]
    return [
        Part("stored files", len(entries(root / "blobs" / "sha256")), (*stored, *in_the_way("locks", locks))),
        Part("cache records", len(records) + len(troubles), tuple(troubles)),
        Part("journals", len(entries(workspace.journals)), tuple(journals)),
        _explanations(workspace, {*map(first_generation, records), *keys}),
        _layer_groups(workspace, meter),
        _validations(root),
        Part("quarantine", 0, (), tuple(_quarantine(root))),
    ]


def _records(workspace: Workspace) -> tuple[dict[str, Named], list[Trouble]]:
    found: dict[str, Named] = {}
    troubles = []
    names = {one.path.name for one in entries(workspace.records)}
    for one in entries(workspace.records):
        name = one.path.name
        if name == _LOCKS:
            continue
        try:
            if is_key(name):
                found[name] = read_record(one.path)
            else:
                one.path.read_bytes()
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0]
            remedy, advice = (Remedy.NOBODY, _CLEANED) if _superseded(name, names) else (Remedy.ITSELF, RUN_AGAIN)
            troubles.append(Trouble("cache records", one.path, why, remedy, advice))
    for path in [one.path for one in entries(workspace.records / _LOCKS) if one.path.is_dir()]:
        troubles.append(Trouble("locks", path, "it is a folder", Remedy.ITSELF, "the next build sets it aside"))
    # Bytes that an earlier generation names may be gone: that is why there is a later one.
    return {name: one for name, one in found.items() if not _superseded(name, names)}, troubles


def _superseded(name: str, names: Collection[str]) -> bool:
    first = first_generation(name)
    number = int(name.removeprefix(first).removeprefix("-") or 0)
    return f"{first}-{number + 1}" in names


def _damaged(problems: list[Problem], named: Mapping[Blob, str], logs: Mapping[Blob, str]) -> Iterator[Trouble]:
    needed = {blob.digest: name for blob, name in named.items()}
    told = {blob.digest: name for blob, name in logs.items()}
    for path, reason in problems:
        digest = f"sha256:{path.name}"
        if digest in needed:
            yield Trouble("stored files", path, f"{reason}; {needed[digest]} needs it", Remedy.ITSELF, RUN_AGAIN)
        elif digest in told:
            why = f"{reason}; it is a log of {told[digest]}"
            yield Trouble("stored files", path, why, Remedy.NOBODY, "it only told how a result came about")
        else:
            # It may be the report or the weights, which are stored anew by each build.
            yield Trouble("stored files", path, f"{reason}; no cache record names it", Remedy.NOBODY, _CLEANED)


def _lost(workspace: Workspace, named: Mapping[Blob, str], damaged: Collection[str]) -> Iterator[Trouble]:
    for blob, name in named.items():
        path = Path(workspace.store) / "blobs" / "sha256" / blob.digest.rpartition(":")[2]
        if path.name not in damaged and not (path.is_file() and path.stat().st_size == blob.size):
            yield Trouble("stored files", path, f"it is not there; {name} needs it", Remedy.ITSELF, RUN_AGAIN)


def _journals(workspace: Workspace) -> tuple[set[str], list[Trouble]]:
    keys: set[str] = set()
    troubles = []
    for one in entries(workspace.journals):
        try:
            lines = one.path.read_bytes().splitlines(keepends=True)
        except OSError as error:
            troubles.append(_journal(one.path, error.strerror or str(error)))
            continue
        unread = 0
        for line in lines:
            try:
                keys.add(first_generation(Entry.model_validate_json(line).key))
            except ValidationError:
                unread += line.endswith(b"\n") or b"\0" in line  # the last one may be cut by a kill
        if unread or not lines:
            troubles.append(_journal(one.path, f"{counted(unread, 'line')} cannot be read" if lines else "it is empty"))
    return keys, troubles


def _journal(path: Path, why: str) -> Trouble:
    advice = "only --explain and cleaning read it: what that run used is kept by its age, or else made again"
    return Trouble("journals", path, why, Remedy.NOBODY, advice)


def _explanations(workspace: Workspace, keys: Collection[str]) -> Part:
    found = entries(workspace.explanations)
    troubles = []
    for one in found:
        try:
            fields = json.loads(one.path.read_bytes())
            why = "" if key_of(fields) in keys else "it explains no key that a record or a journal has"
        except OSError as error:
            why = error.strerror or str(error)
        except (ValueError, LookupError, TypeError):
            why = "it cannot be read"
        if why and one.path.is_dir():
            troubles.append(Trouble("explanations", one.path, why, Remedy.ITSELF, "the next build sets it aside"))
        elif why:
            advice = "only --explain reads it; the next build writes it anew"
            troubles.append(Trouble("explanations", one.path, why, Remedy.ITSELF, advice))
    return Part("explanations", len(found), tuple(troubles))


def _layer_groups(workspace: Workspace, meter: Meter) -> Part:
    paths = sorted(path for path in workspace.layer_groups.rglob("*") if not path.is_dir())
    wanted = [Wanted(path, f"sha256:{path.suffix[1:]}") for path in paths if _KEPT.fullmatch(path.name)]
    advice = "it is not lent to the compiler, which searches again"
    found = [
        Trouble("layer groups", path, why, Remedy.ITSELF, advice) for path, why in check_files(wanted, meter) if why
    ]
    return Part("layer groups", len(paths), tuple(found))


def _validations(root: Path) -> Part:
    paths = [one.path for one in entries(root / "validations")]
    troubles = []
    for path in paths:
        try:
            json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            advice = "validate again; what was attached to the release as evidence is in the registry too"
            troubles.append(Trouble("reports of validations", path, str(error), Remedy.YOU, advice))
    return Part("reports of validations", len(paths), tuple(troubles))


def _quarantine(root: Path) -> Iterator[str]:
    found = entries(root / "quarantine")
    if found:
        yield (
            f"damaged earlier and set aside, for you to look at: {counted(len(found), 'file')} in {root / 'quarantine'}"
            "; again and again there means a failing disk"
        )
