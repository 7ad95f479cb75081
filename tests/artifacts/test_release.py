from __future__ import annotations

import json
from typing import Any, Dict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from artifacts.errors import BadRecord, NewerSchema, ReleaseError
from artifacts.release import SCHEMA_VERSION, PreprocessSpec, ReleaseRecord
from tests.artifacts.releases import VARIANTS, record, variant_record


def changed(**changes: Any) -> bytes:
    value: Dict[str, Any] = json.loads(record().to_json())
    value.update(changes)
    return json.dumps(value).encode()


def test_the_preprocess_spec_is_centernets_own_by_default() -> None:
    spec = PreprocessSpec()
    assert (spec.width, spec.height, spec.channel_order, spec.letterbox) == (512, 512, "BGR", "affine-centre")
    assert spec.scale == 1 / 255
    assert spec.mean == (0.408, 0.447, 0.470)
    assert spec.std == (0.289, 0.274, 0.278)
    assert (spec.layout, spec.dtype, PreprocessSpec(fused=True).dtype) == ("NCHW", "float32", "uint8")


@pytest.mark.parametrize(
    "changes", [{"width": 0}, {"std": (1.0, 0.0, 1.0)}, {"mean": (float("nan"), 0, 0)}, {"channel_order": "GBR"}]
)
def test_a_preprocess_spec_that_cannot_be_computed_is_refused(changes: Dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PreprocessSpec(**changes)


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        record().version = "2.0.0"  # type: ignore[misc]


def test_a_record_comes_back_from_json_as_it_was() -> None:
    original = record()
    data = original.to_json()
    assert ReleaseRecord.from_json(data) == original
    assert ReleaseRecord.from_json(data).to_json() == data
    assert json.loads(data)["schema_version"] == SCHEMA_VERSION


def test_the_order_in_which_variants_were_made_does_not_show() -> None:
    assert record(variants=VARIANTS).to_json() == record(variants=VARIANTS[::-1]).to_json()
    assert record().chips == ("BM1684", "BM1684X", "BM1688")


def test_a_newer_minor_schema_is_read_and_its_unknown_fields_ignored() -> None:
    value = json.loads(changed(schema_version="1.7", colour="blue"))
    value["preprocess"]["gamma"] = 2.2
    read = ReleaseRecord.from_json(json.dumps(value).encode())
    assert read.schema_version == "1.7"
    assert read.variants == record().variants


def test_a_newer_major_schema_is_refused_even_when_nothing_else_is_understood() -> None:
    for data in (changed(schema_version="2.0"), b'{"schema_version":"2.0","everything":"else"}'):
        with pytest.raises(NewerSchema, match=r"has schema 2\.0; this program understands 1\.0") as caught:
            ReleaseRecord.from_json(data)
        assert caught.value.found == "2.0"


@pytest.mark.usefixtures("nothing_is_collected")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[1]", "not an object"),
        (b"[" * 100_000, "no JSON"),
        (b'{"schema_version":"1.0","x":NaN}', "NaN is no JSON number"),
        (b"{}", "schema_version"),
        (changed(schema_version="1"), "schema_version"),
        (changed(schema_version="1.0\n"), "schema_version"),
        (changed(schema_version=1.0), "preprocess|schema_version"),
        (changed(variants=[]), "variants"),
        (changed(calibration=None), "int8 variants but no calibration"),
        (changed(protocol=None), "no protocol"),
        (changed(stride="four"), "stride"),
        (b" " * ((16 << 20) + 1), "more than"),
    ],
)
def test_what_is_no_record_is_refused_with_the_field(data: bytes, message: str) -> None:
    with pytest.raises(BadRecord, match=message):
        ReleaseRecord.from_json(data)


def test_the_same_variant_twice_is_refused() -> None:
    value = json.loads(record().to_json())
    value["variants"].append(value["variants"][0])
    with pytest.raises(BadRecord, match="more than once"):
        ReleaseRecord.from_json(json.dumps(value).encode())


def test_a_variant_that_does_not_exist_is_named_among_a_records_problems() -> None:
    value = json.loads(record().to_json())
    value["variants"][0]["variant"]["precision"] = "fp16"
    value["variants"][1]["blob"]["digest"] = "sha256:../x"
    with pytest.raises(BadRecord) as caught:
        ReleaseRecord.from_json(json.dumps(value).encode())
    assert "BM1684 has no fp16" in str(caught.value)
    assert "is not a digest" in str(caught.value)


def test_a_distance_that_is_no_number_must_be_said_as_none() -> None:
    good = variant_record(VARIANTS[0], "1").distances[0]
    with pytest.raises(ValidationError):
        type(good)(head="wh", cosine=float("nan"), max_abs=0.0)
    assert type(good)(head="wh", cosine=None, max_abs=0.0).cosine is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(place=st.lists(st.integers(0, 30), max_size=4), value=JSON)
def test_any_value_in_any_place_is_read_or_refused_and_nothing_else(place: list[int], value: Any) -> None:
    whole = json.loads(record().to_json())
    here: Any = whole
    for step in place:
        keys = sorted(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        if not keys:
            break
        parent, key = here, list(keys)[step % len(keys)]
        here = parent[key]
        parent[key] = value if step == place[-1] else here
    try:
        ReleaseRecord.from_json(json.dumps(whole).encode())
    except ReleaseError as error:
        assert str(error)
