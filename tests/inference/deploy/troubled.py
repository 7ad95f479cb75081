"""Pulls onto a disk that refuses to be written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Set

from artifacts.errors import StoreError
from inference.deploy.prune import rollback
from inference.deploy.store import DeviceStore
from tests.artifacts.failing import Place, disk_in_trouble
from tests.inference.deploy.test_survival import in_use, leftovers, small, untested


def pulls_in_trouble(folder: Path, number: int) -> int:
    """Pull and go back, until no place is left that was not refused once.

    Args:
        folder: Of the test's own.
        number: What the system says: ENOSPC, EDQUOT, EROFS, EIO.

    Returns:
        How many places were refused.
    """
    first, second = small(folder, "1.0.0"), small(folder, "1.1.0")
    tried: Set[Place] = set()
    versions = ("1.0.0", "1.1.0")
    while True:
        store = DeviceStore(folder / "device")
        untested(first, store)
        with disk_in_trouble(store.root, number, tried) as trouble:
            try:
                untested(second, store)
                rollback(store)
            except StoreError as error:
                assert trouble.place is not None, error
        assert in_use(store)["current"] in versions
        assert store.content.verify_all() == []
        untested(second, store)
        assert in_use(store) == {"current": "1.1.0", "previous": "1.0.0"}
        assert leftovers(store) == [], trouble.place
        shutil.rmtree(store.root)
        if trouble.place is None:
            return len(tried)
