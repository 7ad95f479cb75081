"""Mirrors as text, and what the text means.

================================================  =====================================================
``https://host/a.pth``, ``http://host/a.pth``     one file
``https://host/val2017/``, ``/mirror/val2017/``   a folder: the source's name is looked for in it
``file:///data/a.pth``, ``/data/a.pth``, ``a``    a local file or folder
``zip+https://host/a.zip!/folder/member``         one member of a zip, taken out by byte ranges
``zip+file:///data/a.zip!/member``                one member of a local zip
``dfss://open@sophgo.com:folder/a.zip``           by the vendor's `dfss` tool; ``!/member`` may follow
================================================  =====================================================
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict

from settings.locations import without_secrets

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")

# The tool joins its arguments into one string for a shell (dfss 1.10.9, __main__.py, os.system), so nothing may pass
# that a shell reads as more than text.
_DFSS = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:/?[A-Za-z0-9_][A-Za-z0-9._/+-]*")


class _Address(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class HttpAddress(_Address):
    """A file behind http or https; may carry secrets, so it is never shown as it is."""

    url: str

    @property
    def is_folder(self) -> bool:
        """Its path ends in a slash."""
        return urlsplit(self.url).path.endswith("/")

    def of(self, name: str) -> HttpAddress:
        """Return the address of `name` in it when this one is a folder, else this one."""
        if not self.is_folder:
            return self
        parts = urlsplit(self.url)
        return HttpAddress(url=urlunsplit(parts._replace(path=parts.path + quote(name))))


class FileAddress(_Address):
    """A local file or folder; a relative path starts at a folder that the caller chooses."""

    path: Path

    def at(self, base: Path, name: str) -> Path:
        """Return the file meant: below `base` when relative, and `name` in it when it is a folder."""
        path = base / self.path.expanduser()
        return path / name if path.is_dir() else path


class DfssAddress(_Address):
    """A file on the vendor's server, in the form that its tool takes: `account@host:path`."""

    text: str


class ZipMember(_Address):
    """One member of a zip archive."""

    archive: HttpAddress | FileAddress | DfssAddress
    member: str


Address = HttpAddress | FileAddress | DfssAddress | ZipMember


def parse_mirror(text: str) -> Address:
    """Read one mirror.

    Args:
        text: In the grammar at the top of this module.

    Returns:
        What it names.

    Raises:
        ValueError: It is none of these; the message says what is wrong, without secrets.
    """
    shown = without_secrets(text)
    if text.startswith("zip+"):
        archive, bang, member = text.removeprefix("zip+").partition("!/")
        if not bang:
            raise ValueError(f"{shown}: a member of a zip is written zip+ADDRESS!/MEMBER")
        return ZipMember(archive=_plain(archive, shown), member=_member(member, shown))
    if text.startswith("dfss://"):
        archive, bang, member = text.partition("!/")
        address = _dfss(archive, shown)
        return ZipMember(archive=address, member=_member(member, shown)) if bang else address
    return _plain(text, shown)


def _plain(text: str, shown: str) -> HttpAddress | FileAddress:
    scheme = _SCHEME.match(text)
    if not text or "\0" in text:
        raise ValueError("a mirror is an address or a path, not an empty text")
    if scheme is None:
        return FileAddress(path=Path(text))
    match scheme[1].lower():
        case "http" | "https":
            return _http(text, shown)
        case "file":
            return _file(text, shown)
        case _ if not text[scheme.end() :].startswith("//"):
            return FileAddress(path=Path(text))
        case other:
            raise ValueError(f"{shown}: {other}: is not among http, https, file, zip+..., dfss or a path")


def _http(text: str, shown: str) -> HttpAddress:
    try:
        parts = urlsplit(text)
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or _CONTROL.search(text):
        raise ValueError(f"{shown}: not an address: a host is missing, or it holds spaces or a bad port")
    return HttpAddress(url=text)


def _file(text: str, shown: str) -> FileAddress:
    rest = text.partition(":")[2]
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise ValueError(f"{shown}: a file address names no other machine ({host}); write file:///PATH")
        rest = slash + path
    if not rest:
        raise ValueError(f"{shown}: a file address needs a path")
    return FileAddress(path=Path(unquote(rest)))


def _dfss(text: str, shown: str) -> DfssAddress:
    rest = text.removeprefix("dfss://")
    if not _DFSS.fullmatch(rest) or ".." in rest.split("/") or rest.endswith("/"):
        raise ValueError(f"{shown}: a dfss address is dfss://ACCOUNT@HOST:PATH with letters, digits and . _ - + / only")
    return DfssAddress(text=rest)


def _member(member: str, shown: str) -> str:
    if not is_safe_relative(member):
        raise ValueError(f"{shown}: {member!r} is no member of a zip: a relative path without .. is")
    return member


def is_safe_relative(name: str) -> bool:
    """Tell whether a name stays below the folder that it is joined to."""
    parts = PurePosixPath(name).parts
    forbidden = name.startswith("/") or name.endswith("/") or "\\" in name or "\0" in name
    return bool(parts) and not forbidden and ".." not in name.split("/")


def host_of(text: str) -> str | None:
    """Return the host that a mirror asks, with its port and without secrets; None for local files."""
    address = parse_mirror(text)
    match address.archive if isinstance(address, ZipMember) else address:
        case HttpAddress(url=url):
            return urlsplit(url).netloc.rpartition("@")[2]
        case DfssAddress(text=account):
            return account.partition(":")[0]
        case _:
            return None
