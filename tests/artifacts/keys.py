"""Keys for tests, made and used without native code, so that the same tests run on a device's Python."""

from __future__ import annotations

import hashlib
from importlib import import_module
from typing import Any

import pytest

from artifacts.signing import PublicKey, Signer, public_key

NEEDED = "signatures need the package securesystemslib"


def signer(name: str) -> Signer:
    """Return the key of this name; always the same one.

    The library calls these functions unsafe because they leak a secret by their timing. There is no secret here.
    """
    pytest.importorskip("securesystemslib", reason=NEEDED)
    library: Any = import_module("securesystemslib._vendor.ed25519.ed25519")
    seed = hashlib.sha256(name.encode()).digest()
    raw = library.publickey_unsafe(seed)

    def sign(message: bytes) -> bytes:
        made: bytes = library.signature_unsafe(message, seed, raw)
        return made

    return Signer(public_key(raw), sign)


def key(name: str) -> PublicKey:
    """Return the public half of the key of this name."""
    return signer(name).key
