"""What a cache key is made from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.release import PreprocessSpec, Variant
from artifacts.store import Blob
from settings.gate import GateSettings, HeadFloors
from settings.sections import Driving, TimeoutSettings, ToolchainSettings
from tasks.errors import KeyFailure
from tasks.keys import changes, key_fields, key_of
from tasks.records import CalibrationTable, Evidence
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace

BLOB = Blob(digest=digest_bytes(b"a"), size=1)
EVIDENCE = Evidence(argv=("tool", "--now"), log=BLOB, seconds=1.0, tool="tool 1")


class Colour(StrEnum):
    RED = "red"


def facts(**arguments: object) -> dict[str, object]:
    fields = dict(key_fields("step", 1, arguments))
    assert fields.pop("step") == "step" and fields.pop("version") == 1
    return fields


def test_plain_values_go_as_they_are() -> None:
    assert facts(text="a", number=2, share=0.5, yes=True, nothing=None, colour=Colour.RED) == {
        "text": "a",
        "number": 2,
        "share": 0.5,
        "yes": True,
        "nothing": None,
        "colour": "red",
    }


def test_lists_and_tables_are_laid_flat() -> None:
    assert facts(a=[1, ("x",)], b={"c": {"d": 1}}) == {
        "a.length": 2,
        "a[0]": 1,
        "a[1].length": 1,
        "a[1][0]": "x",
        "b.c.d": 1,
    }
    assert facts(a=()) != facts(a=None) != facts()


def test_a_record_goes_by_its_facts_without_its_evidence() -> None:
    table = CalibrationTable(table=BLOB, images=3, method="kl", samples_digest=BLOB.digest, evidence=EVIDENCE)
    assert facts(table=table) == {
        "table.table": BLOB.digest,
        "table.images": 3,
        "table.method": "kl",
        "table.samples_digest": BLOB.digest,
    }


def test_a_variant_goes_by_what_it_went_by_before_there_was_raw() -> None:
    variant = Variant(chip="BM1688", precision="int8", batch=1)
    usual = {"variant.chip": "BM1688", "variant.precision": "int8", "variant.batch": 1, "variant.cores": 1}
    assert facts(variant=variant) == usual
    assert facts(variant=variant.model_copy(update={"io": "raw"})) == {**usual, "variant.io": "raw"}


def test_a_toolchain_goes_by_its_fingerprint() -> None:
    here = Toolchain(name="tpu-mlir", version="1", fingerprint="sha256:aa", root="/a", python="/a/python")
    there = here.model_copy(update={"root": "/b", "python": "/b/python"})
    assert facts(toolchain=here) == facts(toolchain=there) == {"toolchain": "tpu-mlir 1 sha256:aa"}
    assert facts(toolchain=here) != facts(toolchain=here.model_copy(update={"fingerprint": "sha256:bb"}))


def test_where_and_how_long_are_no_facts() -> None:
    assert facts(workspace=Workspace(store="/a", cache="/b"), limits=TimeoutSettings()) == {}
    patient = ToolchainSettings(timeouts=TimeoutSettings(deploy=7200), python=Path("/usr/bin/python3.10"))
    assert facts(driving=patient.driving) == facts(driving=ToolchainSettings().driving) == {"driving.omp_threads": 2}
    assert isinstance(patient.driving, Driving)


@pytest.mark.parametrize(
    "value", [Path("/a"), b"a", {1}, frozenset(), {1: "a"}, float("nan"), float("inf"), 1j, object(), lambda: None]
)
def test_what_has_no_stable_form_is_refused_by_name(value: object) -> None:
    with pytest.raises(KeyFailure, match=r"argument\[0\]\.inner is a "):
        facts(argument=[{"inner": value}])


def test_the_key_depends_on_every_fact_and_on_nothing_else() -> None:
    variant = Variant(chip="BM1688", precision="int8", batch=1)
    one = key_fields("compile", 1, {"variant": variant, "spec": PreprocessSpec()})
    same = key_fields("compile", 1, {"spec": PreprocessSpec(), "variant": variant})
    assert key_of(one) == key_of(same)
    others = [
        key_fields("lower", 1, {"variant": variant, "spec": PreprocessSpec()}),
        key_fields("compile", 2, {"variant": variant, "spec": PreprocessSpec()}),
        key_fields("compile", 1, {"variant": variant, "spec": PreprocessSpec(width=256)}),
        key_fields("compile", 1, {"variant": variant}),
    ]
    assert len({key_of(fields) for fields in [one, *others]}) == 5
    assert key_of(one).startswith("compile-") and len(key_of(one)) == len("compile-") + 64


def test_changes_are_named_one_by_one() -> None:
    before = key_fields("gate", 1, {"thresholds": GateSettings(), "images": ["a", "b"]})
    floors = GateSettings().min_cosine.model_copy(update={"int8": HeadFloors(heatmap=0.99, size=0.95, offset=0.9)})
    thresholds = GateSettings(max_ap_drop=0.01, min_cosine=floors)
    after = key_fields("gate", 1, {"thresholds": thresholds, "images": ["a", "b", "c"]})
    assert changes(before, after) == (
        "images.length",
        "images[2]",
        "thresholds.max_ap_drop",
        "thresholds.min_cosine.int8.size",
    )
    assert changes(before, before) == () and changes(None, after) == ()
