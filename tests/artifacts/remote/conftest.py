from __future__ import annotations

from collections.abc import Iterator
from typing import List

import pytest

from artifacts.remote.access import Access
from artifacts.remote.client import RemoteRegistry
from artifacts.remote.job import Clock, Limits
from tests.artifacts.remote.certificates import Authority
from tests.artifacts.remote.liar import REPOSITORY, Liar

QUICK = Limits(connect_s=5, read_s=0.3, attempts=3, rate_window_s=0.2, min_rate=4096, reserve=1 << 16)


class Waits(List[float]):
    """The waits that were asked for, in place of waiting."""

    def clock(self) -> Clock:
        return Clock(sleep=self.append, jitter=lambda: 0.0)


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as server:
        yield server


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def remote(liar: Liar, waits: Waits) -> Iterator[RemoteRegistry]:
    with RemoteRegistry(liar.place, REPOSITORY, access=Access(), limits=QUICK, clock=waits.clock()) as registry:
        yield registry


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "own")
