"""What may go from a build's store, and what stays."""

from __future__ import annotations

import json
import os

import pytest

from artifacts.files import claimed
from artifacts.store import Blob
from tasks.housekeeping.model import Kind
from tasks.housekeeping.plan import told
from tests.artifacts.releases import SHARED, VARIANTS, model_bytes
from tests.tasks.housekeeping.places import OLD, Places, aged


def test_what_nothing_reaches_goes_once_it_is_old(places: Places) -> None:
    old, young = places.blob("old"), places.blob("young", days=1)
    key, new = places.record("compile", old), places.record("lower", young, days=1)
    going = places.going()
    assert {places.path_of(old), f"store/records/{key}"} <= going
    assert not {places.path_of(young), f"store/records/{new}"} & going
    assert f"store/records/{new}" in places.going(days=0)


def test_a_recent_run_keeps_old_results_and_what_they_were_made_from(places: Places) -> None:
    weights, made = places.blob("weights"), places.blob("made")
    key = places.record("compile", made, checkpoint=weights)
    assert places.path_of(weights) in places.going() and f"store/records/{key}" in places.going()
    places.run("this-week", key, days=3)
    assert places.going() == set()


def test_an_old_run_keeps_nothing_and_its_journal_goes(places: Places) -> None:
    key = places.record("compile", places.blob("made"))
    journal = places.run("long-ago", key)
    assert {str(journal.relative_to(places.folder)), f"store/records/{key}"} <= places.going()


def test_a_release_keeps_the_run_that_made_it_whatever_their_age(places: Places) -> None:
    places.release("1.0.0", days=500)
    models = [places.blob(model_bytes(variant, "1.0.0").decode(), days=500) for variant in VARIANTS]
    table, other = places.blob("table", days=500), places.blob("other", days=500)
    compiled = places.record("compile", *models, days=500, table=table)
    lowered = places.record("lower", places.blob("lowered", days=500), days=500)
    unrelated = places.record("unrelated", other, days=500)
    places.run("older", compiled, unrelated, days=600)
    places.run("made-it", compiled, lowered, days=500)
    assert places.going() == {f"store/records/{unrelated}", places.path_of(other)} | {
        f"store/keys/{unrelated[-32:]}.json",
        "store/journals/older.jsonl",
    }


def test_of_two_runs_with_the_same_bmodels_the_one_with_the_releases_other_files_made_it(places: Places) -> None:
    places.release("1.0.0")
    models = [places.blob(model_bytes(variant, "1.0.0").decode()) for variant in VARIANTS]
    sheet, other = places.blob(SHARED["sheet.png"].decode("latin1")), places.blob("other")
    places.workspace.content.put_bytes(SHARED["sheet.png"])
    compiled = places.record("compile", *models)
    curated = places.write(
        places.workspace.records / "curate", json.dumps({"result": Blob.of(SHARED["sheet.png"]).digest})
    )
    mine, theirs = places.record("lower", sheet), places.record("lower", other, seed=5)
    places.run("made-it", compiled, curated.name, mine, days=60)
    places.run("failed-later", compiled, theirs, days=50)
    going = places.going()
    assert f"store/records/{theirs}" in going and f"store/records/{mine}" not in going


def test_without_any_journal_a_release_keeps_what_names_its_files(places: Places) -> None:
    places.release("1.0.0")
    model, other = places.blob(model_bytes(VARIANTS[0], "1.0.0").decode()), places.blob("other")
    kept, gone = places.record("compile", model), places.record("lower", other)
    assert f"store/records/{kept}" not in places.going() and f"store/records/{gone}" in places.going()


def test_a_forgotten_version_keeps_nothing_any_more(places: Places) -> None:
    places.release("1.0.0")
    model = places.blob(model_bytes(VARIANTS[0], "1.0.0").decode())
    key = places.record("compile", model)
    places.run("made-it", key)
    assert {f"store/records/{key}", places.path_of(model)} <= places.going("1.0.0")


def test_damaged_records_before_a_later_generation_hold_its_place(places: Places) -> None:
    lost, found = places.blob("lost"), places.blob("found")
    first = places.record("compile", lost)
    second = places.record("compile", found, generation=1)
    places.run("this-week", second, days=1)
    # Without the first one, the second would not be looked for.
    assert places.going() == {places.path_of(lost)}
    assert f"{first}-1" == second


def test_what_is_dated_in_the_future_stays_and_is_told(places: Places) -> None:
    blob = places.blob("tomorrow's", days=-2)
    key = places.record("compile", blob, days=-2)
    places.run("tomorrow", key, days=-2)
    plan = places.plan(days=0)
    assert plan.items == ()
    assert any("3 files, staying" in note and "dated in the future" in note and "clock" in note for note in plan.notes)


def test_damaged_and_unreadable_things_are_told_and_stop_nothing(places: Places) -> None:
    blob = places.blob("blob")
    half = places.write(places.workspace.records / f"lower-{'0' * 64}", '{"result": ["sha256:', days=1)
    (places.workspace.records / "a-folder").mkdir()
    (places.workspace.records / "a-link").symlink_to("nowhere")
    (places.workspace.journals / "a-folder.jsonl").mkdir(parents=True)
    (places.workspace.content.root / "blobs" / "sha256" / "notes.txt").write_text("mine")
    explanation = places.write(places.workspace.explanations / "half.json", "{")
    plan = places.plan()
    going = {item.path for item in plan.items}
    assert {half, explanation, places.workspace.content.path(blob)} <= going
    assert not any(path.name in ("a-folder", "notes.txt") for path in going)
    text = told(plan)
    for part in ("1 cache record\n", "a-folder cannot be read and stays", "not named by a digest", "a-link"):
        assert part in text


def test_what_prefect_keeps_of_failed_runs_goes_when_it_is_old_and_is_not_called_damaged(places: Places) -> None:
    old, young = ("0" * 32, 100.0), ("1" * 32, 1.0)
    for name, days in (old, young):
        places.write(places.workspace.records / name, "gAWVXwAAAAAAAACM", days=days)
    assert places.going() == {f"store/records/{old[0]}"} and places.plan().notes == ()


def test_logs_quarantine_and_unfinished_transfers_go_when_they_are_old(places: Places) -> None:
    store = places.folder / "store"
    for folder in ("logs", "quarantine", "incoming"):
        places.write(store / folder / "old", "x")
        places.write(store / folder / "young", "x", days=1)
    assert places.going() == {f"store/{folder}/old" for folder in ("logs", "quarantine", "incoming")}


def test_host_keys_and_reports_of_validations_stay_for_ever(places: Places) -> None:
    places.write(places.folder / "store" / "devices" / "board" / "known_hosts", "key")
    places.write(places.folder / "store" / "validations" / "report.json", "{}")
    assert places.going(days=0) == set()


def test_layer_groups_of_a_compiler_that_is_gone_go(places: Places) -> None:
    places.environment("tpu-mlir-1.30.2-aaaa", "1.30.2", "sha256:" + "a" * 64)
    for name in ("a" * 16, "b" * 16):
        places.write(places.workspace.layer_groups / name / "1.x", "found")
        aged(places.workspace.layer_groups / name, OLD)
    assert places.going() == {f"store/layer-groups/{'b' * 16}"}
    places.write(places.workspace.layer_groups / ("b" * 16) / "2.x", "found", days=1)
    assert places.going() == set()


def test_scratch_folders_of_the_dead_go_and_those_in_use_stay(places: Places) -> None:
    dead = places.folder / "store" / "scratch" / "dead-1-x"
    dead.mkdir(parents=True)
    held = claimed(dead.with_name("put-2-y"))
    with places.workspace.content.scratch("alive"):
        assert places.going() == {"store/scratch/dead-1-x"}
    os.close(held)


def test_refused_bmodels_go_when_all_of_them_are_old(places: Places) -> None:
    old = places.write(places.folder / "not-published" / "BM1688" / "a.bmodel", "x")
    assert [item.kind for item in places.plan().items] == [Kind.NOT_PUBLISHED]
    places.write(old.with_name("b.bmodel"), "x", days=1)
    assert places.going() == set()


@pytest.mark.parametrize("damage", ["index", "release", "no layout"])
def test_a_registry_that_cannot_be_read_keeps_everything_that_releases_may_need(places: Places, damage: str) -> None:
    places.release("1.0.0", "latest")
    blob = places.blob("blob")
    places.record("compile", blob)
    for number in (1, 2, 3):
        places.environment(f"tpu-mlir-{number}.0-old", f"{number}.0")
    places.write(places.workspace.logs / "old.log", "x")
    if damage == "index":
        (places.registry / "index.json").write_text("{")
    elif damage == "release":
        for path in (places.registry / "blobs" / "sha256").iterdir():
            path.chmod(0o644)
            path.write_bytes(b"damaged")
    else:
        (places.registry / "oci-layout").unlink()
    plan = places.plan()
    assert {item.kind for item in plan.items} == {Kind.LOG}
    assert "so all cache records and stored files stay" in told(plan)
