"""From results to a release in the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts import layout
from artifacts.attachments import read_envelope
from artifacts.errors import BadKey, LayoutError, TagExists
from artifacts.layout_tags import signature_tag
from artifacts.registry import LayoutRegistry
from artifacts.release import ReleaseRecord
from artifacts.statements import read_channel, read_statement
from artifacts.store import Blob
from tasks.publish import CHANNEL, PublishedRelease, Results, publish
from tasks.release_record import assemble, release_files
from tasks.report.text import markdown
from tasks.signing_key import make_key
from tests.tasks.results import COMPILER, SPEC, evidence, measured, results, settings_in, workspace_in


def record_of(found: Results, folder: Path, *overrides: str, report: str = "report") -> ReleaseRecord:
    workspace = workspace_in(folder)
    files = release_files(found, workspace.content.put_bytes(report.encode()))
    return assemble(found, files, settings_in(folder, *overrides), SPEC, COMPILER, workspace)


def published(found: Results, folder: Path, *overrides: str, channel: str | None = CHANNEL) -> PublishedRelease:
    workspace, settings = workspace_in(folder), settings_in(folder, *overrides)
    text = markdown(found, settings, "tpu-mlir 1.30.2")
    files = release_files(found, workspace.content.put_bytes(text.encode()))
    record = assemble(found, files, settings, SPEC, COMPILER, workspace)
    done: PublishedRelease = publish.fn(record, files, settings, workspace, channel)
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


def test_without_a_channel_only_the_version_names_it_and_the_folder_stays(tmp_path: Path) -> None:
    first = published(results(workspace_in(tmp_path)), tmp_path)
    before = (tmp_path / "release/release.json").read_bytes()
    held = published(results(workspace_in(tmp_path), failing=("worse",)), tmp_path, channel=None)
    assert layout.tags(tmp_path / "registry") == {
        first.version: first.digest,
        "latest": first.digest,
        held.version: held.digest,
    }
    assert held.folder is None and (tmp_path / "release/release.json").read_bytes() == before


def test_the_release_folder_holds_what_the_record_names(tmp_path: Path) -> None:
    done = published(results(workspace_in(tmp_path)), tmp_path)
    folder = Path(str(done.folder))
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


def test_golden_inputs_and_outputs_go_with_every_chip(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    golden = {title: workspace.content.put_bytes(title.encode()) for title in ("golden.json", "golden/scene-1.png")}
    found = results(workspace).model_copy(update={"golden": golden})
    published(found, tmp_path)
    folder = layout.export(tmp_path / "registry", "latest", tmp_path / "device", ["BM1688"])
    assert {title: (folder / title).read_text() for title in golden} == {title: title for title in golden}
    assert record_of(found, tmp_path).version != record_of(results(workspace), tmp_path).version


def test_accuracy_of_stand_in_weights_is_not_in_the_release(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    found = results(workspace)
    rungs = tuple(one.model_copy(update={"ap": None, "ap50": None}) for one in found.measured)
    stand_in = found.model_copy(update={"reference": measured(workspace, None, None), "measured": rungs})
    record = record_of(stand_in, tmp_path)
    assert record.protocol is None and all(variant.accuracy is None for variant in record.variants)


def test_with_a_key_release_and_channel_are_signed_and_a_second_time_nothing_is_new(tmp_path: Path) -> None:
    pytest.importorskip("securesystemslib", reason="signatures need the package securesystemslib")
    key, found = make_key(tmp_path / "publisher", {}), results(workspace_in(tmp_path))
    option = f"release.signing_key={tmp_path / 'publisher'}"
    plain = published(found, tmp_path)
    assert LayoutRegistry(Path(plain.repository)).tags() == tuple(sorted([plain.version, "latest"]))
    first, again = published(found, tmp_path, option), published(found, tmp_path, option)
    assert (first.changed, again.changed, first.digest) == (True, False, plain.digest)
    registry = LayoutRegistry(Path(plain.repository))
    statement, record = read_envelope(registry, signature_tag(plain.digest)), read_envelope(registry, "channel-latest")
    assert statement is not None and record is not None
    assert read_statement(statement, [key]).model_dump() == {
        "repository": "centernet",
        "version": plain.version,
        "digest": plain.digest,
    }
    assert read_channel(record, [key]).serial == 1 and read_channel(record, [key]).digest == plain.digest
    assert layout.check(plain.repository) == []


def test_a_key_that_cannot_be_used_stops_before_anything_is_published(tmp_path: Path) -> None:
    make_key(tmp_path / "publisher", {})
    (tmp_path / "publisher").chmod(0o644)
    with pytest.raises(BadKey, match="others may read it"):
        published(results(workspace_in(tmp_path)), tmp_path, f"release.signing_key={tmp_path / 'publisher'}")
    assert not (tmp_path / "registry").exists()
