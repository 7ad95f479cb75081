from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings.locations import without_secrets
from tasks.sources.address import (
    DfssAddress,
    FileAddress,
    HttpAddress,
    ZipMember,
    is_safe_relative,
    parse_mirror,
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://h/a.pth", HttpAddress(url="https://h/a.pth")),
        ("HTTP://h:81/a?b=c", HttpAddress(url="HTTP://h:81/a?b=c")),
        ("file:///a/b%20c", FileAddress(path=Path("/a/b c"))),
        ("file://localhost/a", FileAddress(path=Path("/a"))),
        ("/a/b%20c", FileAddress(path=Path("/a/b%20c"))),
        ("images/val", FileAddress(path=Path("images/val"))),
        ("a:b.pth", FileAddress(path=Path("a:b.pth"))),
        ("zip+https://h/a.zip!/m/n.json", ZipMember(archive=HttpAddress(url="https://h/a.zip"), member="m/n.json")),
        ("zip+file:///a.zip!/m", ZipMember(archive=FileAddress(path=Path("/a.zip")), member="m")),
        ("zip+file:a.zip!/m", ZipMember(archive=FileAddress(path=Path("a.zip")), member="m")),
        ("dfss://open@sophgo.com:a/m.zip", DfssAddress(text="open@sophgo.com:a/m.zip")),
        (
            "dfss://open@sophgo.com:/a/m.zip!/n",
            ZipMember(archive=DfssAddress(text="open@sophgo.com:/a/m.zip"), member="n"),
        ),
    ],
)
def test_each_form_of_a_mirror_is_understood(text: str, meant: object) -> None:
    assert parse_mirror(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://",
        "https:///a",
        "http://h:port/a",
        "http://h/a b",
        "http://h/a\nb",
        "http://[/a",
        "ftp://h/a",
        "s3://bucket/a",
        "file://elsewhere/a",
        "file:",
        "a\0b",
        "zip+https://h/a.zip",
        "zip+https://h/a.zip!/",
        "zip+https://h/a.zip!/../m",
        "zip+https://h/a.zip!//m",
        "zip+https://h/a.zip!/m\\n",
        "zip+https://h/a.zip!/m/",
        "zip+ftp://h/a.zip!/m",
        "dfss://sophgo.com/a.zip",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_mirror(text)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60).map("https:".__add__))
def test_any_address_is_either_understood_or_refused_without_its_secrets(text: str) -> None:
    shown = without_secrets(text)
    assert not {"@", "?", "#"} & set(shown.partition("//")[2].partition("/")[0].removesuffix("?..."))
    try:
        assert parse_mirror(text) == HttpAddress(url=text)
    except ValueError as error:
        assert str(error).startswith(f"{shown}: not an address")


@given(st.text(max_size=30))
def test_a_safe_name_stays_below_its_folder(name: str) -> None:
    if is_safe_relative(name):
        assert (Path("/base") / name).is_relative_to("/base")
        assert ".." not in (Path("/base") / name).parts
