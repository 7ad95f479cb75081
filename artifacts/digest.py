"""Digests: names made from bytes, in the grammar of OCI image-spec 1.1, descriptor.md, "Digests"."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, BinaryIO, Union

from artifacts.errors import BadDigest

CHUNK_BYTES = 1 << 20

_GRAMMAR = re.compile(r"sha256:[0-9a-f]{64}")


def check_digest(text: str) -> str:
    """Return the text when it is a well-formed digest.

    A digest becomes a file name, so its grammar is checked before any path is made from it.

    Args:
        text: What should be ``sha256:`` and 64 lower-case hexadecimal digits.

    Returns:
        The same text.

    Raises:
        BadDigest: It is anything else.
    """
    if not isinstance(text, str) or _GRAMMAR.fullmatch(text) is None:
        raise BadDigest(text)
    return text


def hex_of(digest: str) -> str:
    """Return the 64 hexadecimal digits of a digest.

    Raises:
        BadDigest: The text is not a digest.
    """
    return check_digest(digest)[len("sha256:") :]


def digest_bytes(data: bytes) -> str:
    """Return the digest of some bytes, as ``sha256:<64 hex>``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_stream(stream: BinaryIO) -> str:
    """Return the digest of what is left in a binary stream, read in chunks of 1 MiB."""
    hasher = hashlib.sha256()
    for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
        hasher.update(chunk)
    return "sha256:" + hasher.hexdigest()


def digest_file(path: Union[str, os.PathLike[str]]) -> str:
    """Return the digest of a file's bytes; memory use does not grow with its size.

    Raises:
        OSError: The file cannot be read.
    """
    with Path(path).open("rb") as stream:
        return digest_stream(stream)


def canonical_json(value: Any) -> bytes:
    """Encode a JSON value so that equal values give equal bytes.

    Keys sorted by code point, no spaces, UTF-8 without escapes for printable characters.

    Args:
        value: Dictionaries with string keys, lists, tuples, strings, finite numbers, booleans, None.

    Returns:
        The encoded bytes, without a final newline.

    Raises:
        ValueError: The value holds NaN or an infinity, or a text that UTF-8 cannot carry.
        TypeError: The value holds something that JSON has no form for, or a key that is no string.
    """
    _check_keys(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def _check_keys(value: Any) -> None:
    # json.dumps turns 1, True and None into keys silently: {1: ..} and {"1": ..} would get one digest.
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"canonical JSON needs string keys, got {key!r} ({type(key).__name__})")
            _check_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_keys(item)
