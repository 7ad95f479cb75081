"""Every kind of hostile input is refused as its reader declares, in bounded time and memory, and runs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import archives, checkpoints, documents, files, images, releases
from tests.hostile.case import Case, held


def _failures(cases: list[Case]) -> list[str]:
    failed = []
    for case in cases:
        try:
            held(case)
        except Exception as error:
            failed.append(f"{case.name}: {type(error).__name__}: {str(error)[:200]}")
    return failed


def test_what_lies_under_a_name_may_be_anything(tmp_path: Path) -> None:
    assert _failures(list(files.cases(tmp_path))) == []


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_checkpoints_run_nothing_and_load_whole_or_not_at_all(tmp_path: Path) -> None:
    assert _failures(list(checkpoints.cases(tmp_path, 60))) == []


def test_images_are_refused_by_their_headers_or_decoded_at_their_size() -> None:
    assert _failures(list(images.cases(100))) == []


@pytest.mark.usefixtures("nothing_is_collected")
def test_annotations_and_settings_are_refused_with_a_reason(tmp_path: Path) -> None:
    assert _failures(list(documents.cases(tmp_path, 60))) == []


def test_archives_write_nothing_elsewhere_and_no_more_than_they_may(tmp_path: Path) -> None:
    assert _failures(list(archives.cases(tmp_path, 30))) == []


def test_records_and_manifests_are_refused_before_they_cost_anything() -> None:
    assert _failures(list(releases.cases(60))) == []
