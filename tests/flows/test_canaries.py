"""Secrets of every kind are set, builds are run, and all that they left is searched. More of it: make reliability."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.canaries import CANARIES, Given, forms
from tests.flows.canary_runs import runs_in


def test_a_build_that_signs_and_pushes_and_one_that_gets_nothing_leave_no_secret_anywhere(tmp_path: Path) -> None:
    with runs_in(tmp_path) as runs:
        assert runs.good() == 0
        assert runs.refused_download() == 1
    seen = runs.seen.read_text()
    assert seen.count("OMP_NUM_THREADS=") > 10  # tools, their guards and the interpreter's worker
    files, size = runs.given.searched()
    assert files > 150 and size > 10_000_000
    assert runs.given.leaks() == []


@pytest.mark.parametrize("kind", sorted(CANARIES))
@pytest.mark.parametrize("way", range(4))
def test_the_search_finds_a_secret_however_it_is_written(kind: str, way: int, tmp_path: Path) -> None:
    import base64
    import json
    from urllib.parse import quote

    given, secret = Given(tmp_path), CANARIES[kind]
    assert given.leaks() == []
    written = (
        secret,
        f"http://user:{quote(secret, safe='')}@host",
        json.dumps({"auth": base64.b64encode(f"somebody:{secret}".encode()).decode()}),
        repr({"a": json.dumps(secret)}),
    )
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "file").write_text(written[way])
    assert f"{kind}: left/file" in given.leaks()


def test_no_form_of_a_secret_is_so_short_that_it_is_found_everywhere() -> None:
    assert min(len(form) for secret in CANARIES.values() for form in forms(secret)) > 10
