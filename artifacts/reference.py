"""References: how a release in a registry is written as text.

``oci:FOLDER[:TAG|@DIGEST]`` names one in an OCI image layout on this machine, ``HOST[:PORT]/REPOSITORY[:TAG|@DIGEST]``
one on a server (grammar of repository and tag: distribution-spec 1.1, "Pulling manifests").
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Tuple

from typing_extensions import Literal

from artifacts.digest import check_digest
from artifacts.errors import BadDigest, BadReference, LayoutError
from artifacts.oci import check_tag
from artifacts.variant import Record

DEFAULT_NAME = "latest"

_OCI = "oci:"
_DIGEST_MARK = "@sha256"
_SCHEMES = ("http://", "https://", "docker://")
_HOST = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(/{_PART})*")


class Reference(Record):
    """The name of a release, and where it is kept.

    Attributes:
        kind: ``oci`` for a layout on this machine, ``remote`` for a server.
        place: The layout's folder; the server as ``host[:port]``.
        repository: On a server, as ``models/centernet``; empty for a layout, which is one repository.
        name: A tag, or ``sha256:<64 hex>``.
    """

    kind: Literal["oci", "remote"]
    place: str
    repository: str = ""
    name: str = DEFAULT_NAME

    @property
    def by_digest(self) -> bool:
        """Whether the name is a digest: then it means the same bytes for ever."""
        return self.name.startswith("sha256:")

    @property
    def home(self) -> str:
        """Where, without which release: ``oci:FOLDER`` or ``HOST/REPOSITORY``."""
        return f"{_OCI}{self.place}" if self.kind == "oci" else f"{self.place}/{self.repository}"

    def named(self, name: str) -> Reference:
        """Return the reference to another release in the same place.

        Args:
            name: A tag or a digest.

        Raises:
            BadReference: It is neither.
        """
        return self.model_copy(update={"name": _checked_name(name, f"{self.home}:{name}")})

    def __str__(self) -> str:
        # In front of a digest a colon in the folder's last part would begin a tag; a slash says that it does not.
        ends = self.kind == "oci" and self.by_digest and ":" in self.place.rpartition("/")[2]
        return f"{self.home}{'/' if ends else ''}{'@' if self.by_digest else ':'}{self.name}"


def parse_reference(text: str) -> Reference:
    """Read a reference.

    Args:
        text: ``oci:FOLDER[:TAG|@sha256:..]`` or ``HOST[:PORT]/REPOSITORY[:TAG|@sha256:..]``; without tag or digest,
            ``latest`` is meant.

    Raises:
        BadReference: It is neither, or a part of it breaks the grammar.
    """
    if text.startswith(_OCI):
        place, name = _split(text[len(_OCI) :], text)
        if not place:
            raise BadReference(text, "the folder of the layout is missing after 'oci:'")
        try:
            folder = str(Path(place).expanduser())
        except (RuntimeError, ValueError) as error:
            # RuntimeError: no such user; ValueError: bytes of a name that are no text.
            raise BadReference(text, "the folder of the layout is no path") from error
        if folder.endswith(_DIGEST_MARK):
            # With a tag behind it, it would be read as a digest that is none.
            raise BadReference(text, f"the folder of the layout ends in {_DIGEST_MARK!r}: choose another name")
        return Reference(kind="oci", place=folder, name=name)
    scheme = next((one for one in _SCHEMES if text.startswith(one)), None)
    if scheme is not None:
        raise BadReference(text, f"a reference has no {scheme!r} in front")
    place, slash, rest = text.partition("/")
    if not slash or not _is_host(place):
        raise BadReference(text, "it begins neither with 'oci:' nor with a server such as registry.example.com/")
    repository, name = _split(rest, text)
    if _REPOSITORY.fullmatch(repository) is None or len(place) + 1 + len(repository) > 255:
        raise BadReference(
            text, f"{repository[:80]!r} cannot be a repository: use lower-case letters and digits in parts"
        )
    return Reference(kind="remote", place=place.lower(), repository=repository, name=name)


def is_reference(text: str) -> bool:
    """Tell whether a text is meant as a reference rather than as a local path.

    A path that exists wins, and so does one below a folder that exists. What is meant as a reference may be a bad one.
    """
    place, slash, _ = text.partition("/")
    if _exists(text) or text.endswith(".bmodel"):
        return False
    if text.startswith((_OCI, *_SCHEMES)):
        return True
    return bool(slash) and _is_host(place) and not _exists(place)


def _exists(text: str) -> bool:
    # What is too long for a path raises, like what holds a NUL.
    with suppress(OSError, ValueError):
        return Path(text).exists()
    return False


def _is_host(place: str) -> bool:
    # As docker tells a server from the first part of a path: by a dot, a port, or this one name.
    bare = place.rpartition("@")[2]
    return _HOST.fullmatch(bare) is not None and place == bare and ("." in bare or ":" in bare or bare == "localhost")


def _split(text: str, whole: str) -> Tuple[str, str]:
    place, at, digest = text.partition(f"{_DIGEST_MARK}:")
    folder, slash, last = place.rpartition("/")
    last, colon, tag = last.rpartition(":") if ":" in last else (last, "", "")
    place = folder + slash + last
    if at and colon:
        raise BadReference(whole, "it has a tag and a digest; give one of them")
    if at:
        return place, _checked_name("sha256:" + digest, whole)
    return place, _checked_name(tag, whole) if colon else DEFAULT_NAME


def _checked_name(name: str, whole: str) -> str:
    try:
        return check_digest(name) if name.startswith("sha256:") else check_tag(name)
    except (BadDigest, LayoutError) as error:
        raise BadReference(whole, str(error).rstrip(".")) from error
