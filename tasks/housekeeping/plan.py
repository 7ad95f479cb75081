"""What cleaning would remove, all places together, and what it says before it does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from settings.model import Settings
from tasks.housekeeping.cache import environments, survey_downloads, survey_toolchains
from tasks.housekeeping.model import Age, Found, Item, Kind, by_kind, counted, entries
from tasks.housekeeping.registry import old_versions, staying, survey_registry
from tasks.housekeeping.releases import read_releases
from tasks.housekeeping.store import survey_store
from tasks.workspace import Workspace

_MANY = 5


class Plan(NamedTuple):
    """What may go.

    Attributes:
        items: The things.
        notes: What is to be said beside them.
        kept: What stays, in a few words each.
        forgotten: Versions that go from the registry.
    """

    items: tuple[Item, ...]
    notes: tuple[str, ...]
    kept: tuple[str, ...]
    forgotten: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes that it frees."""
        return sum(item.size for item in self.items)

    def shown_in(self, earlier: Plan) -> Plan:
        """Leave out what was not in an earlier plan, which somebody has agreed to."""
        agreed = {item.path for item in earlier.items}
        return self._replace(items=tuple(item for item in self.items if item.path in agreed))


def make_plan(
    settings: Settings,
    workspace: Workspace,
    not_published: Path,
    *,
    age: Age,
    forgotten: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Plan:
    """Look through store, cache folder and registry. Changes nothing.

    Args:
        settings: Which registry, which compiler, which sources.
        workspace: Store and cache folder.
        not_published: The folder where builds keep the bmodels that the gate refused.
        age: What counts as old.
        forgotten: Versions that shall go from the registry.
        environ: Environment variables.

    Returns:
        What may go.

    Raises:
        UnknownTag: A version that shall go is not there.
        ReleaseInUse: A channel means it.
    """
    root = Path(settings.release.repository)
    present = read_releases(root)
    left = staying(present, root, forgotten)
    compilers, kept_compilers = survey_toolchains(settings, workspace, left, environ)
    here = [one.fingerprint for one in environments(workspace) if one.found.path in kept_compilers]
    store = survey_store(workspace, left, here, age)
    digests = store.reached.digests if store.reached else frozenset[str]()
    downloads = survey_downloads(settings, workspace, digests, age) if store.reached else ()
    leftovers, notes = survey_registry(root, left, forgotten, age)
    items = [*store.items, *_refused(not_published, age), *downloads, *compilers, *leftovers]
    kept = [f"{path.name}: {why}" for path, why in sorted(kept_compilers.items())]
    if store.reached is not None:
        reached = store.reached
        kept.insert(
            0,
            f"{counted(len(reached.records), 'cache record')}, used within {age.days:g} days or behind "
            f"{counted(len(left.found), 'release')}; {counted(len(reached.runs), 'journal')}",
        )
    advice = old_versions(left.found)
    return Plan(tuple(items), (*notes, *store.notes, *filter(None, [advice])), tuple(kept), tuple(forgotten))


def told(plan: Plan, *, every: bool = False) -> str:
    """Say what a plan would free, kind by kind, and why.

    Args:
        plan: The plan.
        every: Whether each single thing is listed.

    Returns:
        Lines for a terminal.
    """
    lines = []
    for kind, group in by_kind(plan.items):
        lines.append(f"{size_of(sum(item.size for item in group)):>10}  {len(group):>6}  {kind.value}")
        reasons: dict[str, list[Item]] = {}
        for item in group:
            reasons.setdefault(item.why, []).append(item)
        for why, items in reasons.items():
            lines.append(f"{'':>20}{len(items)}: {why}")
            shown = items if every else items[:_MANY] if kind is Kind.TOOLCHAIN else []
            lines += [f"{'':>22}{item.path}  {size_of(item.size)}" for item in shown]
    versions = f" and the versions {', '.join(plan.forgotten)}" if plan.forgotten else ""
    total = f"{size_of(plan.size):>10}  {len(plan.items):>6}  in all{versions}"
    lines += [total] if plan.items or plan.forgotten else ["nothing to remove"]
    lines += [f"stays: {one}" for one in plan.kept]
    lines += [f"note: {one}" for one in plan.notes]
    return "\n".join(lines)


def size_of(count: int) -> str:
    """Write a number of bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def _refused(folder: Path, age: Age) -> list[Item]:
    found = [one for one in entries(folder.parent) if one.path == folder and one.path.is_dir()]
    inside = [Found(path, path.lstat()) for path in folder.rglob("*") if path.is_file()] if found else []
    if not inside or not all(map(age.old, inside)):
        return []
    return [found[0].item(Kind.NOT_PUBLISHED, "of an old build that did not pass the gate")]
