"""`artifacts.remote.login`: what a server wants of us when it answers 401, and the token that it gives."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import SecretStr

from artifacts.errors import RegistryError
from artifacts.remote.access import Access, Credentials
from artifacts.remote.login import Login


def target(data: bytes) -> None:
    """Answer the challenge; credentials only ever go to where they are encrypted, or back where they came from."""
    text = data.decode("latin-1")
    access = Access(given=Credentials(user="u", password=SecretStr("p")))
    login = Login("https://registry.example.com", "registry.example.com", "repository:m/c:pull", access)
    try:
        request = login.wanted(text)
        if request is not None:
            assert urlsplit(request.url).scheme == "https"
    except RegistryError:
        pass
    try:
        login.take(data)
    except RegistryError:
        return
    assert "\n" not in str(login.authorization) and "\r" not in str(login.authorization)


def seeds() -> Iterator[bytes]:
    """Challenges and tokens."""
    yield b'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:m/c:pull"'
    yield b'Basic realm="r", Bearer realm="https://auth.example.com/token?a=b"'
    yield b'Basic realm="a \\"quoted\\" one"'
    yield b'{"token":"abc","expires_in":300}'
    yield b'{"access_token":"abc.def"}'
