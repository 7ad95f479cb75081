"""Verifying, while cleaning is kept out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from artifacts.errors import StoreError
from artifacts.in_use import in_use
from flows.preflight import workspace_of
from settings.model import Settings
from tasks.soundness.cache import check_cache
from tasks.soundness.model import Meter, Part, Trouble
from tasks.soundness.registry import check_registry
from tasks.soundness.store import check_store


class Verified(NamedTuple):
    """What a verification found.

    Attributes:
        parts: By place.
        size: Bytes that were hashed.
        seconds: How long that took.
    """

    parts: tuple[Part, ...]
    size: int
    seconds: float

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """All that is not as it should be."""
        return tuple(trouble for part in self.parts for trouble in part.troubles)

    @property
    def rate(self) -> float:
        """Bytes hashed a second."""
        return self.size / self.seconds if self.seconds > 0 else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "sound": not self.troubles,
            "looked_at": {part.name: part.looked_at for part in self.parts},
            "bytes": self.size,
            "seconds": round(self.seconds, 3),
            "problems": [{**one._asdict(), "path": str(one.path)} for one in self.troubles],
            "notes": [note for part in self.parts for note in part.notes],
        }


def verify(settings: Settings, told: Callable[[int], None] = lambda size: None) -> Verified:
    """Look at all that builds left. Changes nothing, and may be done while they run.

    Args:
        settings: Which store, cache folder, registry and sources.
        told: Called with the bytes that were hashed so far.

    Returns:
        What was found.

    Raises:
        LockTimeout: A folder was being cleaned for ten minutes.
    """
    workspace, meter, started = workspace_of(settings), Meter(told), time.monotonic()
    folders = (Path(workspace.store), Path(workspace.cache), Path(settings.release.repository))
    with _kept(folders):
        parts = [
            *check_store(workspace, meter),
            *check_cache(settings, workspace, meter),
            *check_registry(settings.release, workspace.content, meter),
        ]
    return Verified(tuple(parts), meter.size, time.monotonic() - started)


@contextmanager
def _kept(folders: Sequence[Path]) -> Iterator[None]:
    """Keep cleaners out of the folders that are there and can be written; in others there are none."""
    with ExitStack() as stack:
        for folder in folders:
            if folder.is_dir():
                with suppress(StoreError):
                    stack.enter_context(in_use(folder))
        yield
