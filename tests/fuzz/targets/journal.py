"""`tasks.journal`: a journal that a kill or another version left."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

from tasks.journal import Entry, Outcome, explain, read
from tests.fuzz.places import scratch, written


def target(data: bytes) -> None:
    """Read and explain it."""
    written("run.jsonl", data)
    explain(read(SimpleNamespace(journals=scratch()), "run"))  # type: ignore[arg-type]


def seeds() -> Iterator[bytes]:
    """A few lines."""
    entries = (
        Entry(slot="trace", step="trace", outcome=Outcome.HIT, time=1.5, key="0f"),
        Entry(slot="compile", step="compile", outcome=Outcome.MADE, changed=("a.b", "c"), more_changed=3),
        Entry(slot="curate", step="curate", outcome=Outcome.WANTED, damaged=("sha256:0",)),
    )
    yield "".join(entry.model_dump_json() + "\n" for entry in entries).encode()
