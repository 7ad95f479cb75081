"""A store, a cache folder and a registry with a few things in them, for tests of cleaning."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from artifacts.release import ReleaseRecord
from artifacts.store import Blob
from settings.load import load_settings
from settings.model import Settings
from tasks import journal
from tasks.housekeeping.model import DAY_S, Age
from tasks.housekeeping.plan import Plan, make_plan
from tasks.journal import Entry, Outcome
from tasks.keys import Fields, key_fields, key_of
from tasks.workspace import Workspace
from tests.artifacts.layouts import publish

NOW = time.time()
OLD = 100.0
"""Days; more than are kept."""


class Places:
    """Folders below one folder.

    Attributes:
        folder: Where they all are.
        workspace: Store and cache folder.
        registry: Where releases are published.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = Workspace(store=str(folder / "store"), cache=str(folder / "cache"))
        self.registry = folder / "registry"

    @property
    def settings(self) -> Settings:
        places = {
            "store.path": self.workspace.store,
            "release.repository": str(self.registry),
            "release.folder": str(self.folder / "release"),
        }
        return load_settings("sample", overrides=[f"{key}={value}" for key, value in places.items()], environ={})

    def blob(self, text: str, days: float = OLD) -> Blob:
        """Store some bytes, written so many days ago."""
        blob = self.workspace.content.put_bytes(text.encode())
        aged(self.workspace.content.path(blob), days)
        return blob

    def record(self, step: str, *names: Blob, days: float = OLD, generation: int = 0, **inputs: object) -> str:
        """Store a step's result that names some blobs, with its explanation; returns its key."""
        fields = key_fields(step, 1, inputs)
        key = key_of(fields) + (f"-{generation}" if generation else "")
        self.write(self.workspace.records / key, json.dumps({"result": [blob.digest for blob in names]}), days)
        self.explanation(fields, days)
        return key

    def explanation(self, fields: Fields, days: float = OLD) -> Path:
        """Note what a step's key was made from."""
        return self.write(self.workspace.explanations / f"{key_of(fields)[-32:]}.json", json.dumps(fields), days)

    def run(self, name: str, *keys: str, days: float = OLD) -> Path:
        """Write the journal of a run that used some keys."""
        for number, key in enumerate(keys):
            slot = f"slot {number}"
            journal.append(self.workspace, name, Entry(slot=slot, step="step", outcome=Outcome.MADE, key=key))
        return aged(self.workspace.journals / f"{name}.jsonl", days)

    def release(self, version: str, *tags: str, days: float = OLD) -> ReleaseRecord:
        """Publish a small release."""
        publish(self.registry, version, version, *tags)
        for path in (self.registry / "blobs" / "sha256").iterdir():
            aged(path, days)
        from tests.artifacts.releases import record

        return record(version)

    def environment(self, name: str, version: str, fingerprint: str = "") -> Path:
        """Make a compiler's environment; unfinished where it has no version."""
        folder = self.folder / "cache" / "toolchains" / name
        self.write(folder / "bin" / "python", "")
        self.write(folder.with_name(f"{name}.log"), "installed")
        self.write(folder.with_name(f"{name}.lock"), "")
        if version:
            self.write(folder / "ready.json", json.dumps({"version": version, "fingerprint": fingerprint}))
        return folder

    def write(self, path: Path, text: str, days: float = OLD) -> Path:
        """Write a file so many days ago."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return aged(path, days)

    def plan(self, *forgotten: str, days: float = 30.0, environ: Mapping[str, str] | None = None) -> Plan:
        """Look what may go."""
        return make_plan(
            self.settings,
            self.workspace,
            self.folder / "not-published",
            age=Age(NOW, days),
            forgotten=forgotten,
            environ=environ or {},
        )

    def going(self, *forgotten: str, days: float = 30.0) -> set[str]:
        """Name what may go, below the folder."""
        return {str(item.path.relative_to(self.folder)) for item in self.plan(*forgotten, days=days).items}

    def path_of(self, blob: Blob) -> str:
        """Name a blob's file, below the folder."""
        return str(self.workspace.content.path(blob).relative_to(self.folder))


def aged(path: Path, days: float) -> Path:
    """Let a file have been written so many days ago."""
    moment = NOW - days * DAY_S
    os.utime(path, (moment, moment), follow_symlinks=False)
    return path
