"""`tasks.sources.address`: mirrors as text, in settings and lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from settings.locations import resolve, without_secrets
from tasks.sources.address import HttpAddress, host_of, is_safe_relative, parse_mirror
from tasks.sources.model import Source


def target(data: bytes) -> None:
    """Read it; a name that is called safe stays below a folder, and no secret is shown."""
    text = data.decode("utf-8", "surrogateescape")
    resolve(text, Path("/base"), "/home/u")
    without_secrets(text)
    if is_safe_relative(text):
        assert ".." not in Path(text).parts and not Path(text).is_absolute()
    try:
        address = parse_mirror(text)
    except ValueError as error:
        assert type(error) is ValueError
        return
    host_of(text)
    if isinstance(address, HttpAddress):
        assert host_of(address.of("a b.jpg").url) == host_of(text)
    try:
        Source(name="val2017/a.jpg", mirrors=(text,), digest="sha256:" + "0" * 64)
    except ValidationError:
        return


def seeds() -> Iterator[bytes]:
    """One of each kind."""
    yield b"https://user:secret@host.example:8443/folder/?sig=1#x"
    yield b"http://[::1]:80/a.pth"
    yield b"zip+https://host.example/a.zip!/folder/member"
    yield b"zip+file:///data/a.zip!/member"
    yield b"dfss://open@sophgo.com:folder/a.zip!/member"
    yield b"file://localhost/data/a%20b.pth"
    yield b"project:folder/file"
    yield b"../a:b"
