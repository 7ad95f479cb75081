"""What the experiments share: the section of docs/reliability.md that each module writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.settings import get_current_settings

from tests.benchmarks.page import DOCS, put
from tests.prefect_server import prefect_server
from tests.reliability.trials import Trials

__all__ = ["prefect_server"]


@pytest.fixture
def server(prefect_server: None) -> str:
    """Where a Prefect server answers, for builds in processes of their own."""
    return str(get_current_settings().api.url)


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest) -> Iterator[Trials]:
    """The page's section of this module: its docstring's first line and rest; written when nothing failed."""
    title, _, about = (request.module.__doc__ or "").partition("\n")
    name = request.module.__name__.rpartition("try_")[2]
    one = Trials(name, title.rstrip("."), about.strip(), getattr(request.module, "PACKAGES", ()))
    failed, collected = request.session.testsfailed, request.session.testscollected
    yield one
    whole = request.session.testsfailed == failed and not request.session.shouldstop and collected
    if whole and one.rows:
        put(one, DOCS / "reliability.md")
