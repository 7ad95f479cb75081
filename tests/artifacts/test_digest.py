from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from artifacts.digest import canonical_json, check_digest, digest_bytes, digest_file, hex_of
from artifacts.errors import ArtifactError, BadDigest

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_digest_is_the_sha256_of_the_bytes() -> None:
    assert digest_bytes(b"") == EMPTY
    assert hex_of(EMPTY) == EMPTY[7:]


def test_a_file_larger_than_one_chunk_has_the_digest_of_all_of_it(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    (tmp_path / "f").write_bytes(data)
    assert digest_file(tmp_path / "f") == "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "text",
    ["", "sha256:", EMPTY.upper(), EMPTY + "0", EMPTY[:-1], EMPTY + "\n", "sha512:" + EMPTY[7:], EMPTY[7:], None,
     "sha256:../../../etc/passwd", "sha256:" + "é" * 64],
)  # fmt: skip
def test_what_is_not_quite_a_digest_is_refused(text: object) -> None:
    with pytest.raises(BadDigest) as caught:
        check_digest(text)  # type: ignore[arg-type]
    assert isinstance(caught.value, ArtifactError)
    assert caught.value.text == text


def test_equal_values_have_equal_json_whatever_their_order() -> None:
    assert canonical_json({"b": (1, 2.5), "a": "é"}) == canonical_json({"a": "é", "b": [1, 2.5]})
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": "\ud800"}])
def test_values_that_json_cannot_carry_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"Out of range|surrogates"):
        canonical_json(value)


@pytest.mark.parametrize("value", [{1: "a"}, [{"x": {None: 1}}], {True: 1}, b"bytes", {"a": {1, 2}}])
def test_keys_and_values_of_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)
