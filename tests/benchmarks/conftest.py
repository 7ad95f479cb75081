"""What the benchmarks share: the section that each module writes, the photographs, and what the user named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.page import DOCS, Section, put
from tests.conftest import COCO_MINI

INTERRUPTED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vendor-sample", type=Path, help="sample/CenterNet of a checkout of sophgo/sophon-demo")
    parser.addoption("--photographs-weights", type=Path, help="the sample's network, fitted to photographs")


@pytest.fixture(scope="session", autouse=True)
def _watch_for_interruption(request: pytest.FixtureRequest) -> None:
    # A half-run module must not replace its section of the page.
    request.config.pluginmanager.register(_Interruption(request.config))


class _Interruption:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_keyboard_interrupt(self) -> None:
        self._config.stash[INTERRUPTED] = True


@pytest.fixture(scope="module")
def section(request: pytest.FixtureRequest) -> Iterator[Section]:
    """The page's section of this module: its docstring's first line and rest; written when nothing failed."""
    title, _, about = (request.module.__doc__ or "").partition("\n")
    name = request.module.__name__.rpartition("bench_")[2]
    one = Section(name, title.rstrip("."), about.strip(), getattr(request.module, "PACKAGES", ()))
    failed = request.session.testsfailed
    yield one
    if request.session.testsfailed == failed and one.parts and not request.config.stash.get(INTERRUPTED, False):
        put(one, DOCS / getattr(request.module, "PAGE", "benchmarks.md"))


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """Real photographs, which are not part of the project."""
    paths = sorted(COCO_MINI.rglob("*.jpg"))
    if not paths:
        pytest.skip("the photographs are not here: a folder shared/coco-mini is looked for beside the checkout")
    return paths


@pytest.fixture(scope="session")
def vendor_sample(request: pytest.FixtureRequest) -> Path | None:
    """The vendor's sample, where the user named it: `make bench VENDOR=sophon-demo/sample/CenterNet`."""
    path: Path | None = request.config.getoption("--vendor-sample")
    if path is not None and not (path / "python" / "postprocess_numpy.py").is_file():
        raise pytest.UsageError(f"{path} is not sample/CenterNet of sophgo/sophon-demo")
    return path


@pytest.fixture(scope="session")
def photographs_weights(request: pytest.FixtureRequest, photographs: list[Path]) -> Path:
    """A network fitted to photographs, where the user named one and the photographs are here."""
    path: Path | None = request.config.getoption("--photographs-weights")
    if path is None:
        pytest.skip("no network for photographs was named: make bench ARGS=--photographs-weights=FILE")
    if not path.is_file():
        raise pytest.UsageError(f"there is no file {path}")
    return path
