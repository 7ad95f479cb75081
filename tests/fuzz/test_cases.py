"""Every input that once broke a reader, and the valid samples, through every target, without the fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import loading
from tests.fuzz.bounds import bounded

CASES = [pytest.param(name, path, id=f"{name}-{path.name}") for name in loading.names() for path in loading.cases(name)]


@pytest.mark.parametrize("name", loading.names())
def test_valid_samples_pass(name: str) -> None:
    target = loading.load(name)
    samples = list(target.seeds())
    assert samples
    for sample in samples:
        target.run(sample)


@pytest.mark.parametrize("name", loading.names())
def test_nothing_and_nonsense_are_refused_in_the_declared_way(name: str) -> None:
    target = loading.load(name)
    for data in (b"", b"\0", b"\xff" * 1000, b"[" * 100_000, b"{}", b"null", b"PK\x03\x04", b"9" * 5000, b'"\\ud800"'):
        with bounded():
            target.run(data)


@pytest.mark.usefixtures("nothing_is_collected")
@pytest.mark.parametrize(("name", "path"), CASES)
def test_what_once_broke_a_reader_no_longer_does(name: str, path: Path) -> None:
    target, data = loading.load(name), path.read_bytes()
    with bounded():
        target.run(data)


def test_every_case_belongs_to_a_target() -> None:
    assert {path.name for path in loading.CASES.iterdir() if path.is_dir()} <= set(loading.names())
