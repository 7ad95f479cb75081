"""Looking into stores, for tests."""

from __future__ import annotations

from typing import List

from artifacts.store import ContentStore


def scratch_names(store: ContentStore) -> List[str]:
    """Return what lies in a store's folder of working folders."""
    return sorted(entry.name for entry in (store.root / "scratch").iterdir())
