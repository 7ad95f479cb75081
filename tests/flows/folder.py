"""A folder that holds everything a build leaves, and what can be read from it."""

from __future__ import annotations

from pathlib import Path

from artifacts import layout
from artifacts.release import ReleaseRecord
from tasks import journal
from tasks.journal import Entry, Outcome
from tasks.workspace import Workspace

_PLACES = """
[store]
path = "{folder}/store"
[release]
repository = "{folder}/registry"
folder = "{folder}/release"
"""


class BuildFolder:
    """A folder with a profile, after which a build leaves everything in that folder.

    Attributes:
        folder: Where it all is.
        workspace: Its store, and where downloads and compilers are kept.
        profile: The settings.
    """

    def __init__(self, folder: Path, cache: Path, profile: str) -> None:
        """Write the profile.

        Args:
            folder: Where it all shall be.
            cache: Where downloads and compilers are kept.
            profile: The settings but for the places, with `{folder}` where the folder is to be named.
        """
        self.folder = folder
        self.workspace = Workspace(store=str(folder / "store"), cache=str(cache))
        self.profile = folder / "profile.toml"
        self.profile.write_text((profile + _PLACES).format(folder=folder))

    @property
    def release(self) -> ReleaseRecord:
        return ReleaseRecord.from_json((self.folder / "release" / "release.json").read_bytes())

    @property
    def digest(self) -> str:
        """The digest under `latest` in the registry."""
        return layout.tags(self.folder / "registry")["latest"]

    def entries(self) -> dict[str, Entry]:
        """The journal of the last run, by slot."""
        runs = sorted(self.workspace.journals.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        return {entry.slot: entry for entry in journal.read(self.workspace, runs[-1].stem)}

    def made(self) -> set[str]:
        """The slots that the last run did not find in the store."""
        return {slot for slot, entry in self.entries().items() if entry.outcome is not Outcome.HIT}
