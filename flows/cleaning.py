"""Cleaning, with everybody else kept out of what is cleaned meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from artifacts.in_use import alone_in
from flows.preflight import workspace_of
from settings.model import Settings
from tasks.housekeeping.model import Age, Item, Kind, counted
from tasks.housekeeping.plan import Plan, make_plan, size_of
from tasks.housekeeping.remove import Removed, forget, remove_items

# As `flows.outcome` calls it; importing that brings torch and Prefect, which takes seconds.
NOT_PUBLISHED = "not-published"

_OF_CACHE = (Kind.DOWNLOAD, Kind.TOOLCHAIN)


class Cleaned(NamedTuple):
    """What a cleaning did.

    Attributes:
        plan: What it set out to remove.
        removed: What it removed, and what it could not.
        busy: Folders that others use, which were left as they are.
    """

    plan: Plan
    removed: Removed
    busy: tuple[Path, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing was left undone."""
        return not self.busy and not self.removed.left

    def told(self) -> str:
        """Say what was done, in a few lines."""
        lines = [f"removed: {counted(len(self.removed.items), 'thing')}, {size_of(self.removed.size)}"]
        lines += [f"in use by a build, a validation or another cleaning, left as it is: {path}" for path in self.busy]
        if self.removed.left:
            path, reason = self.removed.left[0]
            lines.append(f"could not be removed: {len(self.removed.left)}, such as {path}: {reason}")
        return "\n".join(lines)


def look(settings: Settings, *, days: float | None = None, forgotten: Sequence[str] = ()) -> Plan:
    """Find out what may go. Changes nothing, and may be done while others work.

    Args:
        settings: Which store, which registry, and what stays.
        days: What was written within so many days stays; as the settings say when None.
        forgotten: Versions that shall go from the registry.

    Returns:
        The plan.

    Raises:
        UnknownTag: A version that shall go is not there.
        ReleaseInUse: A channel means it.
    """
    age = Age(time.time(), settings.keep.days if days is None else days)
    kept = Path(settings.release.folder).parent / NOT_PUBLISHED
    return make_plan(settings, workspace_of(settings), kept, age=age, forgotten=forgotten)


def clean_up(
    settings: Settings, *, days: float | None = None, forgotten: Sequence[str] = (), agreed: Plan | None = None
) -> Cleaned:
    """Remove what nothing needs. A kill at any moment leaves what is left sound; the next cleaning goes on.

    Args:
        settings: As `look`.
        days: As `look`.
        forgotten: As `look`.
        agreed: Only what this plan named is removed; all that may go when None.

    Returns:
        What was done. What others use is left as it is.

    Raises:
        RegistryError: A version cannot be removed.
        StoreNotWritable: A folder cannot be written.
    """
    workspace, registry = workspace_of(settings), Path(settings.release.repository)
    folders = (Path(workspace.store), Path(workspace.cache), registry)
    with _alone(folders) as free:
        plan = look(settings, days=days, forgotten=forgotten)
        plan = plan if agreed is None else plan.shown_in(agreed)
        items = [item for item in plan.items if free[_folder_of(item, folders)]]
        removed = remove_items([item for item in items if item.kind is not Kind.REGISTRY], workspace)
        if free[registry]:
            forget(registry, forgotten)
            leftovers = remove_items([item for item in items if item.kind is Kind.REGISTRY], workspace)
            removed = Removed((*removed.items, *leftovers.items), (*removed.left, *leftovers.left))
    wanted = {_folder_of(item, folders) for item in plan.items} | ({registry} if forgotten else set())
    return Cleaned(plan, removed, tuple(folder for folder, ours in free.items() if not ours and folder in wanted))


@contextmanager
def _alone(folders: Sequence[Path]) -> Iterator[dict[Path, bool]]:
    with ExitStack() as stack:
        # One folder may be two of these, and nobody can be alone in it twice.
        yield {folder: stack.enter_context(alone_in(folder)) for folder in dict.fromkeys(folders)}


def _folder_of(item: Item, folders: Sequence[Path]) -> Path:
    store, cache, registry = folders
    return registry if item.kind is Kind.REGISTRY else cache if item.kind in _OF_CACHE else store
