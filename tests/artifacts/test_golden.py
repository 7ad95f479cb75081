"""The record of golden outputs."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict

import pytest

from artifacts.errors import BadRecord, NewerSchema
from artifacts.golden import MAX_GOLDEN_BYTES, Golden
from artifacts.release import Variant

HEAD = {"head": "size", "positions": [0, 95], "values": [0.1, -1e-30]}
VALUE: Dict[str, Any] = {
    "schema_version": "1.0",
    "shape": [6, 4, 4],
    "images": [{"title": "golden/scene-1.png", "blob": {"digest": "sha256:" + "0" * 64, "size": 3}}],
    "outputs": [{"chip": "BM1688", "precision": "int8", "tolerance": 0, "images": [[HEAD]]}],
}


def encoded(change: Callable[[Any], object] = lambda value: None) -> bytes:
    value = json.loads(json.dumps(VALUE))
    change(value)
    return json.dumps(value).encode()


def test_a_record_survives_being_written_and_read() -> None:
    golden = Golden.from_json(encoded())
    assert Golden.from_json(golden.to_json()) == golden
    assert golden.outputs[0].images[0][0].values == (0.1, -1e-30)


def test_a_variants_output_is_that_of_its_chip_and_precision() -> None:
    golden = Golden.from_json(encoded())
    assert golden.output_of(Variant(chip="BM1688", precision="int8", batch=4, cores=2)) is golden.outputs[0]
    assert golden.output_of(Variant(chip="BM1684X", precision="int8", batch=1)) is None


def test_unknown_fields_of_a_newer_minor_version_are_ignored() -> None:
    assert Golden.from_json(encoded(lambda value: value.update(schema_version="1.9", more=1))).shape == (6, 4, 4)


def test_a_newer_major_version_is_refused_by_its_number() -> None:
    with pytest.raises(NewerSchema):
        Golden.from_json(encoded(lambda value: (value.clear(), value.update(schema_version="2.0"))))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value.update(shape=[6, 0, 4]), "is no shape"),
        (lambda value: value.update(images=[]), "images"),
        (lambda value: value["images"][0].update(title="../../etc/passwd"), "not accepted as a file name"),
        (lambda value: value["outputs"][0].update(images=[[HEAD], [HEAD]]), "has values for 2 images"),
        (lambda value: value["outputs"][0].update(tolerance=-1), "tolerance"),
        (lambda value: value["outputs"][0]["images"][0][0].update(positions=[0, 96]), "outside a head tensor"),
        (lambda value: value["outputs"][0]["images"][0][0].update(positions=[-1, 5]), "do not go together"),
        (lambda value: value["outputs"][0]["images"][0][0].update(values=[1.0]), "do not go together"),
        (lambda value: value["outputs"][0]["images"][0][0].update(head="mask"), "head"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(change: Callable[[Any], object], words: str) -> None:
    with pytest.raises(BadRecord, match=words):
        Golden.from_json(encoded(change))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", encoded().replace(b"0.1", b"NaN"), b" " * (MAX_GOLDEN_BYTES + 1)])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(BadRecord):
        Golden.from_json(data)
