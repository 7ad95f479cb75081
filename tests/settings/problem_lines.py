"""What is said about settings that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import SettingsError, load_settings


def lines(profile: str | Path, *overrides: str, **environ: str) -> list[str]:
    """Load settings that are refused, and return the line about each problem."""
    with pytest.raises(SettingsError) as caught:
        load_settings(profile, overrides=overrides, environ=environ)
    assert str(caught.value).encode("utf-8").decode("utf-8").count("\n") == len(caught.value.problems)
    return [str(problem) for problem in caught.value.problems]
