"""Paths and mirrors."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from settings.errors import SettingsError
from settings.load import load_settings
from settings.locations import PROJECT, Location, resolve, scrubbed, without_secrets

BASE = Path("/base/folder")
LOCATION: TypeAdapter[str] = TypeAdapter(Location)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w.pth", "/base/folder/w.pth"),
        ("../w.pth", "/base/w.pth"),
        ("./a//b/", "/base/folder/a/b"),
        ("/abs/w.pth", "/abs/w.pth"),
        ("a:b.pth", "/base/folder/a:b.pth"),
        ("odd!/name", "/base/folder/odd!/name"),
        ("~/w.pth", "/home/me/w.pth"),
        ("~", "/home/me"),
        ("~other/w.pth", "/base/folder/~other/w.pth"),
        ("project:tasks/w.pth", f"{PROJECT}/tasks/w.pth"),
        ("zip+w.zip!/a/w.pth", "/base/folder/w.zip!/a/w.pth"),
        ("zip+project:w.zip!/w.pth", f"{PROJECT}/w.zip!/w.pth"),
        ("zip+https://host/w.zip!/w.pth", "https://host/w.zip!/w.pth"),
        ("https://host/../w.pth", "https://host/../w.pth"),
        ("HTTP://host/w.pth", "HTTP://host/w.pth"),
        ("file:///w.pth", "file:///w.pth"),
        ("dfss://open@host:a/w.zip!/w.pth", "dfss://open@host:a/w.zip!/w.pth"),
    ],
)
def test_only_local_relative_places_are_made_absolute(text: str, expected: str) -> None:
    sign = "zip+" if text.startswith("zip+") else ""
    assert resolve(text, BASE, "/home/me") == sign + expected
    assert resolve(sign + expected, Path("/elsewhere"), "/home/you") == sign + expected


def test_without_a_home_folder_the_tilde_is_a_name() -> None:
    assert resolve("~/w.pth", BASE) == "/base/folder/~/w.pth"


@pytest.mark.parametrize(
    "text",
    [
        "https://host/w.pth",
        "https://user:word@host:8080/a?b=c#d",
        "https://host/val2017/",
        "/a/w.pth",
        "file:///a/w.pth",
        "zip+/a/w.zip!/w.pth",
        "zip+http://host/w.zip!/a/b/w.pth",
        "dfss://open@sophgo.com:a/w.zip",
        "dfss://open@sophgo.com:a/w.zip!/a/w.pth",
    ],
)
def test_every_kind_of_mirror_is_taken_as_it_is(text: str) -> None:
    assert LOCATION.validate_python(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("/a\x00b", "control characters"),
        ("/a\nb", "control characters"),
        ("ftp://host/w.pth", "ftp: is no kind of address"),
        ("htps://host/w.pth", "did you mean https:"),
        ("zip+ftp://host/w.zip!/w.pth", "zip\\+ftp: is no kind of address"),
        ("https:///w.pth", "names no host"),
        ("https://user@/w.pth", "names no host"),
        ("https:w.pth", "names no host"),
        ("zip+https://host/w.zip", "ADDRESS!/MEMBER"),
        ("zip+/w.zip!/", "name of a file in the zip"),
        ("zip+/w.zip!//abs", "name of a file in the zip"),
        ("zip+/w.zip!/a/../../w", "name of a file in the zip"),
    ],
)
def test_what_is_no_mirror_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        LOCATION.validate_python(text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("https://user:word@host/a@b?key=1#x", "https://host/a@b?..."),
        ("https://word@host", "https://host"),
        ("zip+https://u:w@host/a.zip?k=1!/m@n?.pth", "zip+https://host/a.zip?...!/m@n?.pth"),
        ("https://u:p@h:1/a?b=c#d", "https://h:1/a?..."),
        ("https://h/a#token", "https://h/a"),
        ("https://u:p@w@h/a@b", "https://h/a@b"),
        ("https://u:p@[/a", "https://[/a"),
        ("https://h/a!/m?token", "https://h/a!/m?..."),
        ("/a?b@c", "/a?b@c"),
        ("dfss://open@host:a", "dfss://open@host:a"),
    ],
)
def test_secrets_are_left_out_of_what_is_printed(text: str, printed: str) -> None:
    assert without_secrets(text) == printed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no address: a@b?c", "no address: a@b?c"),
        ("https://host/path@v2 is fine", "https://host/path@v2 is fine"),
        ("asked https://user:s3cret@host/a?t=s3cret, then", "asked https://host/a?... then"),
        ('"https://u:s3c@ret@host/a"', '"https://host/a"'),
        ("HTTP://u:s3cret@host#s3cret", "HTTP://host?..."),
        ("zip+https:/u:s3cret@host/a.zip!/m", "zip+https:/host/a.zip!/m"),
        (
            "Max retries exceeded with url: /w.pth?token=s3cret (Caused by",
            "Max retries exceeded with url: /w.pth?... (Caused by",
        ),
        ("https://host/a?...", "https://host/a?..."),
    ],
)
def test_a_text_is_scrubbed_of_what_addresses_carry(text: str, expected: str) -> None:
    assert scrubbed(text) == expected and scrubbed(expected) == expected


@pytest.mark.parametrize(
    "given",
    [
        'weights.mirrors=["https://user:s3cret@host/w.pth"',
        'weights.mirrors={a="https://user:s3cret@host/w.pth"}',
        'weights.mirrors=["htps://user:s3cret@host/w.pth"]',
        'weights.mirrors=["https://user:s3cret@host/w.pth?token=s3cret"]',
        "workers=https://user:s3cret@host/x?token=s3cret",
        "weights.mirrors=https://host/w.pth#s3cret",
        "release.push=https://user:s3cret@host/x",
    ],
)
def test_neither_problems_nor_settings_nor_their_json_show_a_secret(given: str) -> None:
    try:
        settings = load_settings("sample", overrides=[given, "weights.record_first_use=true"], environ={})
        told = settings.describe() + settings.model_dump_json()
        assert settings.weights.mirrors != ()
    except SettingsError as error:
        told = str(error)
    assert "s3cret" not in told and given.partition("=")[0] in told


def test_what_downloads_still_has_the_whole_address() -> None:
    address = "https://user:s3cret@host/w.pth?token=s3cret"
    overrides = [f'weights.mirrors=["{address}"]', "weights.record_first_use=true"]
    assert load_settings("sample", overrides=overrides, environ={}).weights.mirrors == (address,)
