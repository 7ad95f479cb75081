"""From results to a release in the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts import layout
from artifacts.errors import LayoutError, TagExists
from artifacts.release import ReleaseRecord
from artifacts.store import Blob
from tasks.publish import PublishedRelease, Results, assemble, publish, release_files
from tasks.report import markdown
from tests.tasks.results import COMPILER, SPEC, evidence, measured, results, settings_in, workspace_in


def record_of(found: Results, folder: Path, *overrides: str, report: str = "report") -> ReleaseRecord:
    workspace = workspace_in(folder)
    files = release_files(found, workspace.content.put_bytes(report.encode()))
    return assemble(found, files, settings_in(folder, *overrides), SPEC, COMPILER, workspace)


def published(found: Results, folder: Path, *overrides: str) -> PublishedRelease:
    workspace, settings = workspace_in(folder), settings_in(folder, *overrides)
    text = markdown(found, settings, "tpu-mlir 1.30.2")
    files = release_files(found, workspace.content.put_bytes(text.encode()))
    record = assemble(found, files, settings, SPEC, COMPILER, workspace)
    done: PublishedRelease = publish.fn(record, files, settings, workspace)
    return done


def test_equal_results_give_the_same_release_wherever_and_whenever(tmp_path: Path) -> None:
    one = published(results(workspace_in(tmp_path / "one"), seconds=1.0), tmp_path / "one")
    two = published(results(workspace_in(tmp_path / "two"), seconds=99.0), tmp_path / "two")
    assert one.digest == two.digest and one.version == two.version
    assert one.changed and two.changed
    names = {path.relative_to(tmp_path / "one/release") for path in (tmp_path / "one/release").rglob("*.*")}
    for name in names:
        assert (tmp_path / "one/release" / name).read_bytes() == (tmp_path / "two/release" / name).read_bytes()


def test_a_second_identical_publication_changes_nothing(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    first = published(found, tmp_path)
    index = (tmp_path / "registry/index.json").stat().st_mtime_ns
    second = published(found, tmp_path)
    assert first.changed and not second.changed
    assert second == first.model_copy(update={"changed": False})
    assert (tmp_path / "registry/index.json").stat().st_mtime_ns == index


def test_the_release_folder_holds_what_the_record_names(tmp_path: Path) -> None:
    done = published(results(workspace_in(tmp_path)), tmp_path)
    folder = Path(done.folder)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "BM1688/centernet_fp32_1b.bmodel",
        "BM1688/centernet_int8_1b.bmodel",
        "calibration.jpg",
        "calibration.json",
        "release.json",
        "report.md",
    ]
    record = ReleaseRecord.from_json((folder / "release.json").read_bytes())
    assert record.demonstration and record.version == done.version
    assert record.class_names[:3] == ("circle", "square", "unused-03") and len(record.class_names) == 80
    assert layout.check(tmp_path / "registry") == []
    assert layout.tags(tmp_path / "registry") == {done.version: done.digest, "latest": done.digest}


def test_another_result_is_another_version_and_takes_the_folder(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    first = published(results(workspace), tmp_path)
    found = results(workspace)
    better = found.model_copy(update={"measured": (found.measured[0], measured(workspace, found.compiled[1].variant))})
    second = published(better, tmp_path)
    assert second.changed and second.digest != first.digest and second.version != first.version
    assert layout.tags(tmp_path / "registry") == {
        first.version: first.digest,
        second.version: second.digest,
        "latest": second.digest,
    }
    assert ReleaseRecord.from_json((tmp_path / "release/release.json").read_bytes()).version == second.version


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir(parents=True)
    (tmp_path / "release" / "thesis.txt").write_text("years of work")
    with pytest.raises(LayoutError, match="holds something else"):
        published(results(workspace_in(tmp_path)), tmp_path)
    assert (tmp_path / "release" / "thesis.txt").read_text() == "years of work"


def test_every_file_of_the_release_counts_in_its_version(tmp_path: Path) -> None:
    found = results(workspace_in(tmp_path))
    one, two = record_of(found, tmp_path), record_of(found, tmp_path, report="another report")
    assert one.version != two.version and one.version.startswith("1.30.2-")


def test_a_version_of_ones_own_never_moves(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    found = results(workspace)
    assert published(found, tmp_path, "release.version=v1").version == "v1"
    worse = found.model_copy(update={"reference": measured(workspace, None, 0.5)})
    with pytest.raises(TagExists):
        published(worse, tmp_path, "release.version=v1")


def test_how_long_the_work_took_is_no_part_of_the_release(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    found = results(workspace)
    table = found.table
    assert table is not None
    slow = found.model_copy(update={"table": table.model_copy(update={"evidence": evidence(workspace, 5000.0)})})
    assert record_of(found, tmp_path) == record_of(slow, tmp_path)


def test_without_int8_there_is_no_calibration_to_publish(tmp_path: Path) -> None:
    whole = results(workspace_in(tmp_path))
    floats = {name: getattr(whole, name)[:1] for name in ("compiled", "measured", "simulated", "verdicts")}
    found = whole.model_copy(update={**floats, "calibration": None, "table": None})
    assert record_of(found, tmp_path).calibration is None
    report = Blob(digest="sha256:" + "0" * 64, size=1)
    assert sorted(release_files(found, report)) == ["BM1688/centernet_fp32_1b.bmodel", "report.md"]


def test_accuracy_of_stand_in_weights_is_not_in_the_release(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    found = results(workspace)
    rungs = tuple(one.model_copy(update={"ap": None, "ap50": None}) for one in found.measured)
    stand_in = found.model_copy(update={"reference": measured(workspace, None, None), "measured": rungs})
    record = record_of(stand_in, tmp_path)
    assert record.protocol is None and all(variant.accuracy is None for variant in record.variants)
