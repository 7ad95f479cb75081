"""Which source of the settings wins, whatever they hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settings.errors import SettingsError
from settings.load import load_settings
from settings.toml_text import MAX_DEPTH, NotToml, format_value, parse_value

COUNTS = st.none() | st.integers(1, 250)


@settings(max_examples=25, deadline=None)
@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_last_of_profile_environment_and_command_line_wins(
    parent: int | None, profile: int | None, variable: int | None, option: int | None
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = {"parent.toml": ("sample", parent), "child.toml": ("parent.toml", profile)}
        for file, (extends, count) in written.items():
            text = f'extends = "{extends}"\n' + (f"calibration.count = {count}\n" if count is not None else "")
            (folder / file).write_text(text)
        environ = {} if variable is None else {"CENTERNET_CALIBRATION__COUNT": str(variable)}
        overrides = [] if option is None else [f"calibration.count={option}"]
        read = load_settings(folder / "child.toml", overrides=overrides, environ=environ)
    usual = load_settings(environ={}).calibration.count
    given_ones = [count for count in (option, variable, profile, parent) if count is not None]
    assert read.calibration.count == (given_ones[0] if given_ones else usual)


@given(st.integers(1, 2 * MAX_DEPTH))
def test_lists_have_a_limit_of_depth(depth: int) -> None:
    text = "[" * depth + "]" * depth
    if depth <= MAX_DEPTH:
        assert format_value(parse_value(text)) == text
    else:
        with pytest.raises(NotToml, match="nested"):
            parse_value(text)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=3))
def test_any_command_line_gives_settings_or_a_list_of_problems(overrides: list[str]) -> None:
    try:
        load_settings(overrides=overrides, environ={}).describe()
    except SettingsError as error:
        assert len(str(error)) > 20
