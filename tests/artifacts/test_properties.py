"""What holds of the pure parts whatever they are given."""

from __future__ import annotations

import json
from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts import media
from artifacts.digest import canonical_json, check_digest, digest_bytes, hex_of
from artifacts.errors import LayoutError, TagExists
from artifacts.layout_tags import CHANNELS, TagChange, empty_index, find, retagged, tag_entry, tag_of
from artifacts.oci import check_tag, check_titles
from artifacts.reference import Reference, is_reference, parse_reference
from artifacts.remote.challenge import parse_challenges
from artifacts.remote.job import seconds_of
from artifacts.strict_json import MAX_DEPTH, decoded
from artifacts.variant import CHIPS, PRECISIONS, Variant

NUMBERS = st.integers(-(10**300), 10**300) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXTS, inside, max_size=4),
    max_leaves=20,
)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,30}", fullmatch=True)
PARTS = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
HOSTS = st.from_regex(r"[a-z0-9]{1,8}\.[a-z]{2,5}(:[0-9]{1,5})?|localhost(:[0-9]{1,5})?", fullmatch=True)
DIGESTS = st.binary(max_size=4).map(digest_bytes)


@given(JSON)
def test_json_that_was_written_is_read_back(value: Any) -> None:
    assert decoded(canonical_json(value)) == value


@given(st.dictionaries(TEXTS, JSON, max_size=6), st.randoms())
def test_the_order_of_names_makes_no_other_bytes(value: Dict[str, Any], dice: Any) -> None:
    names = list(value)
    dice.shuffle(names)
    assert canonical_json({name: value[name] for name in names}) == canonical_json(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_a_value_error(data: bytes) -> None:
    try:
        value = decoded(data)
    except ValueError:
        return
    assert canonical_json(value)


@given(JSON, st.sampled_from(["NaN", "Infinity", "-Infinity", "1e999", "9" * 401, '"\\ud800"', '{"a":1,"a":2}']))
def test_what_has_no_single_meaning_is_refused_wherever_it_stands(value: Any, wrong: str) -> None:
    text = json.dumps([value, "HERE"], ensure_ascii=False).replace('"HERE"', wrong)
    if text.count(wrong) == 1:
        with pytest.raises(ValueError, match=r"\w"):
            decoded(text.encode())


@given(st.integers(1, 2 * MAX_DEPTH), st.booleans())
def test_nesting_has_a_limit_that_does_not_depend_on_the_interpreter(depth: int, objects: bool) -> None:
    text = '{"a":' * depth + "1" + "}" * depth if objects else "[" * depth + "]" * depth
    if depth <= MAX_DEPTH:
        assert decoded(text.encode()) is not None
    else:
        with pytest.raises(ValueError, match="nested"):
            decoded(text.encode())


@given(st.binary(max_size=100))
def test_a_digest_is_taken_apart_into_what_it_was_made_of(data: bytes) -> None:
    digest = digest_bytes(data)
    assert check_digest(digest) == digest == f"sha256:{hex_of(digest)}"


@given(HOSTS, st.lists(PARTS, min_size=1, max_size=3), TAGS | DIGESTS)
def test_a_reference_to_a_server_is_written_as_it_is_read(host: str, parts: List[str], name: str) -> None:
    made = Reference(kind="remote", place=host, repository="/".join(parts), name=name)
    assert parse_reference(str(made)) == made and is_reference(str(made))
    assert parse_reference(made.home).name == "latest" and made.named("x").named(name) == made


@given(st.from_regex(r"[A-Za-z0-9/._-]{1,30}", fullmatch=True), TAGS | DIGESTS)
def test_a_reference_to_a_layout_is_written_as_it_is_read(folder: str, name: str) -> None:
    made = parse_reference(f"oci:{folder}{'@' if name.startswith('sha256:') else ':'}{name}")
    assert parse_reference(str(made)) == made and made.name == name


@given(
    st.sampled_from(CHIPS), st.sampled_from(PRECISIONS), st.integers(1, 9999), st.integers(1, 2),
    st.sampled_from(["float", "raw"]),
)  # fmt: skip
def test_a_variant_is_what_its_path_says(chip: str, precision: str, batch: int, cores: int, io: str) -> None:
    fields = {"chip": chip, "precision": precision, "batch": batch, "cores": cores, "io": io}
    try:
        variant = Variant.model_validate(fields)
    except ValueError:
        return
    assert Variant.from_path(variant.path) == variant == Variant.from_path(f"a/b/{variant.path}")
    assert check_titles([variant.path]) is None


@given(st.lists(st.tuples(TAGS, st.binary(max_size=2)), max_size=6), st.lists(st.tuples(TAGS, st.binary(max_size=2))))
def test_tags_are_set_all_or_none_and_versions_never_move(before: List[Any], wanted: List[Any]) -> None:
    entries = [tag_entry(media.INDEX, data, tag) for tag, data in dict(before).items()]
    index = {**empty_index(), "manifests": [{"digest": "other", "annotations": {}}, *entries]}
    changes = [TagChange(tag, tag_entry(media.INDEX, data, tag), tag in CHANNELS) for tag, data in dict(wanted).items()]
    try:
        after = retagged(index, changes)
    except TagExists as error:
        assert error.tag not in CHANNELS
        assert find(index, error.tag) is not None
        return
    for change in changes:
        assert find(after, change.tag) == change.descriptor
    assert retagged(after, changes) == after
    touched = {change.tag for change in changes}
    untouched = [one for one in after["manifests"] if tag_of(one) not in touched]
    assert untouched[0] == {"digest": "other", "annotations": {}}


@given(st.text(max_size=40))
def test_a_tag_that_is_accepted_needs_no_quoting(tag: str) -> None:
    try:
        assert check_tag(tag).isascii() and not {"/", ":", " ", "@"} & set(tag)
    except LayoutError:
        return


TOKENS = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True)


@given(
    TOKENS,
    st.dictionaries(TOKENS.map(str.lower), st.text(st.characters(max_codepoint=126, min_codepoint=32)), min_size=1),
)
def test_a_challenge_is_read_as_it_was_written(scheme: str, parameters: Dict[str, str]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
    assert parse_challenges(header) == [(scheme.lower(), parameters)]


@given(st.text(max_size=30) | st.integers(0, 10**12).map(str), st.floats(0, 4e9))
def test_a_wait_that_a_server_asks_for_is_never_negative(text: str, now: float) -> None:
    assert 0 <= seconds_of(text, now) < float("inf")
