"""Downloads onto a disk that is cut off."""

from __future__ import annotations

from pathlib import Path

from tasks.download import Source, fetch
from tasks.sources.part import part_path
from tests.artifacts.cuts import Moments, Note, cut_short
from tests.artifacts.disks import Disk
from tests.tasks.sources import origin as o
from tests.tasks.sources.support import HASTY, names, source_of

SIZE = 3_000_001
CONTENT = o.numbered(SIZE)


def downloads_cut_short(disk: Disk, folder: Path, cuts: int, seed: int) -> int:
    """Cut the power while a file is fetched, with a digest that is known or that is recorded; then fetch it.

    Args:
        disk: Where the file goes, and what is recorded of it.
        folder: Elsewhere, for what is reported.
        cuts: How often.
        seed: Decides the moments.

    Returns:
        How often something had arrived, and was gone on from.
    """
    moments, resumed = Moments(seed), 0
    with o.running() as origin:
        for number in range(cuts):
            place = disk.mounted / f"downloads-{number}"
            known, synced = number % 2 == 0, number % 4 == 0
            plan = [o.stall(moments.chance.randrange(1, SIZE))] if synced else []
            target, url = place / "a", origin.put(f"/{number}", CONTENT, *plan)
            source = source_of(CONTENT, url) if known else Source(name="a", mirrors=(url,))
            record = {} if known else {"record_first_use": True, "lock_file": place / "sources.lock.json"}
            options = HASTY.model_copy(update=record)

            def work(note: Note, source: Source = source, target: Path = target, options: object = options) -> None:
                fetch(source, target, options=options)  # type: ignore[arg-type]
                note("fetched")

            reported = cut_short(disk, folder / "notes", moments, work, synced=synced) != []
            assert not reported or target.is_file(), "a download that was reported is gone"
            assert not target.is_file() or target.read_bytes() == CONTENT, "a download has its name before it is whole"
            resumed += known and part_path(target).is_file() and part_path(target).stat().st_size > 0
            fetch(source, target, options=options)
            assert target.read_bytes() == CONTENT
            assert [name for name in names(place) if not name.endswith((".json", ".lock"))] == ["a"]
            disk.cut()
            assert target.read_bytes() == CONTENT
            target.unlink()
    return resumed
