"""`settings.load`: a profile that somebody wrote, and values of the command line and the environment."""

from __future__ import annotations

from collections.abc import Iterator

from settings.errors import SettingsError
from settings.load import PROFILES, load_settings
from tests.fuzz.places import written


def target(data: bytes) -> None:
    """Load the profile; the settings that come of it can be described."""
    path = written("profile.toml", data)
    try:
        settings = load_settings(path, environ={"HOME": "/home/u"})
    except SettingsError as error:
        str(error).encode()
        return
    settings.describe().encode()


def seeds() -> Iterator[bytes]:
    """The profiles that ship with the project."""
    for path in sorted(PROFILES.glob("*.toml")):
        yield path.read_bytes()
    yield b'extends = "sample"\n[calibration]\ncount = 8\n'
