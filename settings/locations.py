"""Where things lie: how paths and mirrors are written in the settings, and how relative ones become absolute.

A mirror is what the downloading step understands, and one form more:

    https://host/file, http://host/file       a file on a server; with a slash at the end a folder of files
    /folder/file, folder/file, ~/file         a local file or folder
    file:///folder/file                       the same
    project:folder/file                       a file that ships with the project
    zip+ADDRESS!/member                       a file in a zip that lies at one of the above
    dfss://account@host:path[!/member]        a file, or a file in a zip, on the chip vendor's server
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

PROJECT = Path(__file__).resolve().parent.parent
"""The folder that holds the packages; `project:` paths begin here."""

SCHEMES = ("http", "https", "file", "dfss", "zip+http", "zip+https", "zip+file")
_SHIPPED, _ZIP, _MEMBER = "project:", "zip+", "!/"
# A colon alone makes no address: `a:b` is the name of a file.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(file|https?):", re.IGNORECASE)
# Also with too few slashes, as after a path was made of it, and up to the last @: passwords hold what they like.
_USER_INFO = re.compile(r"(https?:/{0,2})[^\s\"'/]*@", re.IGNORECASE)
# The libraries of the network write `with url: /path?query`.
_QUERY = re.compile(r"((?:https?:|\burl: )[^\s\"'?#]*)[?#](?!\.\.\.)[^\s\"']*", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def resolve(text: str, base: Path, home: str | None = None) -> str:
    """Makes the local part of a location absolute; addresses stay as they are. No file is looked at.

    Args:
        text: a path or a mirror as written.
        base: folder that relative paths start from.
        home: the user's home folder, for `~/`; None keeps `~` as a name like any other.

    Returns:
        The location without `project:`, `~/` or a relative path.
    """
    sign, place, member = _split(text)
    if place.startswith(_SHIPPED):
        place = os.path.normpath(PROJECT / place.removeprefix(_SHIPPED))
    elif place.strip() and not _ADDRESS.match(place):
        if home and (place == "~" or place.startswith("~/")):
            place = home + place[1:]
        place = os.path.normpath(base / place)
    return sign + place + member


def is_shipped(location: str) -> bool:
    """Whether a location is a file of the project itself, whose content the project's own version pins.

    Args:
        location: a resolved location.

    Returns:
        True for a path inside the project's folder.
    """
    return Path(os.path.normpath(_split(location)[1])).is_relative_to(PROJECT)


def without_secrets(location: str) -> str:
    """A location fit to be printed.

    Args:
        location: a path or a mirror; what is no right address is taken as well.

    Returns:
        The same without user name, password, fragment and query, which is where signed addresses carry their signature.
    """
    sign, place, member = _split(location)
    if not re.match(r"https?:", place, re.IGNORECASE):
        return location
    place, query, _ = place.partition("#")[0].partition("?")
    scheme, slashes, rest = place.partition("//")
    host, slash, path = rest.partition("/")
    return f"{sign}{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}{'?...' if query else ''}{member}"


def scrubbed(text: str) -> str:
    """A text fit to be printed, whatever addresses stand in it, right ones or not.

    Args:
        text: a message, a traceback, a value of unknown kind.

    Returns:
        The same without what stands before an @ or behind a question mark in anything that begins like http.
    """
    return _QUERY.sub(r"\1?...", _USER_INFO.sub(r"\1", text))


def _split(text: str) -> tuple[str, str, str]:
    """Splits a location into `zip+`, the place, and `!/member`."""
    sign = _ZIP if text.startswith(_ZIP) else ""
    if not sign and not text.startswith("dfss:"):
        return "", text, ""
    place, member_sign, member = text.removeprefix(sign).partition(_MEMBER)
    return sign, place, member_sign + member


def _check_location(text: str) -> str:
    sign, place, member = _split(_check_text(text))
    address = _ADDRESS.match(place)
    if address and (sign + (address[1] or address[2])).lower() not in SCHEMES:
        scheme = sign + (address[1] or address[2])
        close = difflib.get_close_matches(scheme, SCHEMES, n=1)
        raise ValueError(f"{scheme}: is no kind of address" + (f", did you mean {close[0]}:?" if close else ""))
    if address and address[0].lower().startswith("http"):
        _check_web_address(place)
    if sign and not member:
        raise ValueError("a file in a zip is written zip+ADDRESS!/MEMBER")
    name = PurePosixPath(member.removeprefix(_MEMBER))
    if member and (not name.parts or name.is_absolute() or ".." in name.parts):
        raise ValueError(f"after {_MEMBER} comes the name of a file in the zip")
    return text


def _check_web_address(place: str) -> None:
    # As strict as what downloads: there it would be no mistake of the user's any more, but one of ours.
    if re.search(r"\s", place):
        raise ValueError("the address holds a space: write %20")
    try:
        parts = urlsplit(place)
        named, right = bool(parts.hostname), parts.port is None or parts.port > 0
    except ValueError:
        named, right = True, False
    if not named:
        raise ValueError("the address names no host")
    if not right:
        raise ValueError("the address names a host or a port that cannot be")


def _check_path(path: Path) -> Path:
    if _ADDRESS.match(_check_text(str(path))):
        raise ValueError("is an address; a local path is needed here")
    return path


def _not_empty(value: object) -> object:
    # Path("") is the current folder, which nobody means by an empty text.
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty")
    return value


def _check_text(text: str) -> str:
    if not text.strip() or _CONTROL.search(text):
        raise ValueError("is empty or holds control characters")
    return text


Location = Annotated[
    str,
    AfterValidator(_check_location),
    # As JSON the settings go to Prefect's database and onto its pages: they are the parameters of a run.
    PlainSerializer(lambda text: scrubbed(without_secrets(text)), return_type=str, when_used="json"),
    Field(
        json_schema_extra={
            "format": "location",
            "allowed": "a path, project:PATH, http(s)://..., zip+ADDRESS!/MEMBER or dfss://ACCOUNT@HOST:PATH",
        }
    ),
]
LocalPath = Annotated[
    Path,
    BeforeValidator(_not_empty),
    AfterValidator(_check_path),
    Field(json_schema_extra={"format": "path", "allowed": "a path"}),
]
