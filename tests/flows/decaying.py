"""A tiny build whose files decay: what the verification says of that, and what the next build makes of it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from artifacts import layout
from artifacts.errors import ArtifactError
from artifacts.evidence import attach
from artifacts.layout_audit import audit
from flows.verifying import verify
from settings.load import load_settings
from tasks.signing_key import load_signer, make_key
from tasks.soundness.model import Remedy, Trouble
from tests.artifacts.damage import FLIPPED, FLIPPED_IN_PLACE, FOLDER, GONE, KINDS, LINK, decay
from tests.artifacts.test_evidence import evidence
from tests.flows.snapshot import Snapshot, files_in
from tests.flows.tiny import TinyBuild

PLACES = ("store", "registry", "release", "cache")

_WHAT = {
    "store/blobs/": "stored bytes",
    "store/records/": "cache records",
    "store/keys/": "explanations",
    "store/journals/": "journals",
    "store/": "the rest of the store",
    "registry/blobs/": "bytes in the registry",
    "registry/": "what makes a folder a registry",
    "release/": "the release as plain files",
    "cache/": "downloads and their recorded digests",
}

OTHERS = b"somebody's own\n"

Case = tuple[Path, str]


class Round(NamedTuple):
    """What came of some damage.

    Attributes:
        cases: The damage.
        named: Of how many the verification said something.
        harmless: Why the others are of no matter, one text each.
        healed: How many the next build put right, or needed not.
        restored: What had to be had from a backup, or moved away.
        problems: What a user would have lost.
    """

    cases: Sequence[Case]
    named: int
    harmless: tuple[str, ...]
    healed: int
    restored: tuple[Path, ...]
    problems: tuple[str, ...]


class Decaying:
    """A finished build, signed and with evidence, which can be damaged over and over.

    Attributes:
        build: The build.
        files: Everything in its store, registry, release folder and downloads.
    """

    def __init__(self, build: TinyBuild, run: Callable[..., int], spare: Path) -> None:
        """Build, sign and attach evidence.

        Args:
            build: What is built; its folder holds nothing else.
            run: Runs it, with further arguments.
            spare: A folder for copies and for what links lead to.
        """
        make_key(spare / "key", {})
        self.build, self._key = build, spare / "key"
        self._run_build = run
        assert self._run()[0] == 0
        attach(build.folder / "registry", evidence(build.digest))
        self._digest = build.digest
        self._elsewhere = spare / "elsewhere"
        self._elsewhere.mkdir()
        self._snapshot = Snapshot(build.folder, spare / "snapshot")
        self.files = files_in(*(build.folder / name for name in PLACES))
        assert self._troubles() == []

    def cases(self) -> list[Case]:
        """All damage to all files, but for what changes nothing."""
        kinds = [kind for kind in KINDS if kind != FLIPPED_IN_PLACE]  # nothing here has two names
        return [(path, kind) for path in self.files for kind in kinds if path.stat().st_size or kind in _OF_EMPTY]

    def tried(self, cases: Sequence[Case], chance: random.Random) -> Round:
        """Damage some files, verify, build, and mend what the messages say is for somebody to mend."""
        before = {path: path.read_bytes() for path, _ in cases}
        for path, kind in cases:
            elsewhere = self._elsewhere / path.name
            elsewhere.write_bytes(OTHERS)
            decay(path, kind, chance, elsewhere)
        said = self._troubles()
        harmless, problems = [], []
        for path, kind in cases:
            if not _naming(path, said):
                why = self._harmless(path, kind, before[path])
                harmless.append(why)
                problems += [] if why else [f"verify does not name {self.name(path)}, {kind}"]
        restored = []
        status, told = self._run()
        while status != 0:
            culprit = next((path for path, _ in cases if path.name in told and path not in restored), None)
            if culprit is None or "does not foresee" in told:
                problems.append(f"{[(self.name(path), kind) for path, kind in cases]}: {told[-600:]}")
                break
            problems += self._misjudged(culprit, said)
            restored.append(culprit)
            self._restore(culprit)
            status, told = self._run()
        left = self._troubles()
        for path, _ in cases:
            if path not in restored and any(one.remedy is Remedy.YOU for one in _naming(path, left)):
                restored.append(path)
                self._restore(path)
        problems += self._lost()
        self._snapshot.restore()
        named = len(cases) - len(harmless)
        return Round(cases, named, tuple(harmless), len(cases) - len(restored), tuple(restored), tuple(problems))

    def _misjudged(self, culprit: Path, said: Sequence[Trouble]) -> list[str]:
        remedies = {trouble.remedy for trouble in _naming(culprit, said)}
        if Remedy.YOU in remedies or not remedies:
            return []
        return [f"verify said of {self.name(culprit)} that it {', '.join(remedies)}, and a build did not go on"]

    def _lost(self) -> Iterator[str]:
        try:
            if self.build.digest != self._digest:
                yield f"latest is {self.build.digest}"
            left = [one for one in self._troubles() if one.remedy is not Remedy.NOBODY]
            yield from (f"still: {self.name(one.path)}: {one.why}" for one in left)
            keys = load_signer(self._key, {}).key
            yield from (f"registry: {one.reason}" for one in audit(self.build.folder / "registry", [keys]))
        except Exception as error:
            yield f"{type(error).__name__}: {error}"
        kept = self._snapshot.kept
        for path in files_in(kept / "release", kept / "registry"):
            here = self.build.folder / path.relative_to(kept)
            if path.stat().st_size and not (here.is_file() and here.read_bytes() == path.read_bytes()):
                yield f"{self.name(here)} is another one than before"
        if any(path.read_bytes() != OTHERS for path in self._elsewhere.iterdir()):
            yield "a file elsewhere was written through a link"

    def _harmless(self, path: Path, kind: str, before: bytes) -> str:
        """Why it is of no matter that the verification does not see this; empty where it is not."""
        place = self.name(path)
        reasons = {
            "what is lost behind a registry that cannot be read is known when that is restored": (
                place.startswith(("registry/blobs/", "release/")) and not self._registry_is_read()
            ),
            "a lock's content has no meaning, and a lost one is made again": place.endswith("lock")
            or "/.locks/" in place,
            "an explanation is written anew, and is only for --explain": place.startswith("store/keys/")
            and kind == GONE,
            "a journal is only read by --explain and by cleaning": place.startswith("store/journals/"),
            "a step without a record is done again": place.startswith("store/records/") and kind == GONE,
            "what Prefect notes beside a result has no meaning": (
                place.startswith("store/records/") and _same_result(path, before)
            ),
            "no record needs it: a log, or what each build stores anew": place.startswith("store/blobs/")
            and kind == GONE,
            "a download that is not there is fetched": place.startswith("cache/") and kind == GONE,
            "where a source was had from is only told": (
                path.name == "sources.lock.json" and _same_digests(path, before)
            ),
        }
        return next((why for why, holds in reasons.items() if holds), "")

    def _registry_is_read(self) -> bool:
        try:
            layout.release_files(self.build.folder / "registry", "latest")
        except ArtifactError:
            return False
        return True

    def _run(self) -> tuple[int, str]:
        told = io.StringIO()
        with redirect_stderr(told), redirect_stdout(told):
            status = self._run_build(self.build, "--set", f"release.signing_key={self._key}")
        return status, told.getvalue().rpartition("The build failed")[2]

    def _troubles(self) -> list[Trouble]:
        settings = load_settings(self.build.profile, overrides=[f"release.signing_key={self._key}"], environ={})
        return list(verify(settings).troubles)

    def _restore(self, path: Path) -> None:
        self._snapshot.restore_one(path)

    def place(self, path: Path) -> str:
        """What a file is, for counting."""
        name = self.name(path)
        if name.endswith("lock") or "/.locks/" in name:
            return "locks"
        return next(what for start, what in _WHAT.items() if name.startswith(start))

    def name(self, path: Path) -> str:
        """A file's name inside the build's folder."""
        folder = self.build.folder
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


_OF_EMPTY = (FLIPPED, GONE, FOLDER, LINK)


def _naming(path: Path, said: Sequence[Trouble]) -> list[Trouble]:
    named = path.name if len(path.name) == 64 else str(path)
    return [one for one in said if one.path == path or named in one.why or path in one.path.parents]


def _same_result(path: Path, before: bytes) -> bool:
    try:
        return bool(json.loads(path.read_bytes())["result"] == json.loads(before)["result"])
    except (OSError, ValueError, LookupError):
        return False


def _same_digests(path: Path, before: bytes) -> bool:
    def digests(data: bytes) -> object:
        return {name: (one["digest"], one["size"]) for name, one in json.loads(data)["sources"].items()}

    try:
        return digests(path.read_bytes()) == digests(before)
    except (OSError, ValueError, LookupError):
        return False
