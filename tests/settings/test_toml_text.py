"""Values as TOML text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settings.toml_text import NotToml, format_key, format_value, parse_value, shown

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=10)


@settings(deadline=None)
@given(VALUES)
def test_a_value_is_read_back_as_it_was_written_and_on_one_line(value: object) -> None:
    text = format_value(value)
    assert parse_value(text) == value
    assert "\n" not in text


@pytest.mark.usefixtures("nothing_is_collected")
@pytest.mark.parametrize("text", ["", "1\nb = 2", "1\n[b]", "a b", "[1", "\x00", "1" * 5000, "[" * 5000, '"""a\nb"""'])
def test_what_is_not_one_value_on_one_line_is_refused(text: str) -> None:
    with pytest.raises(NotToml):
        parse_value(text)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["calibration", "count"], "calibration.count"),
        (["matrix", 0, "chip"], "matrix[0].chip"),
        (["a.b", ""], '"a.b".""'),
        (["a\nb"], '"a\\nb"'),
    ],
)
def test_keys_are_written_so_that_they_cannot_be_mistaken(parts: list[str | int], text: str) -> None:
    assert format_key(parts) == text


def test_a_long_value_is_cut_in_messages() -> None:
    assert shown("x" * 1000) == '"' + "x" * 76 + "..."
    assert shown("x" * 10) == '"' + "x" * 10 + '"'


def test_text_that_cannot_be_encoded_can_still_be_printed() -> None:
    assert format_value("a\udcff").encode("utf-8") == b'"a\\udcff"'
