"""Cache records that tell when they have decayed: JSON, with a digest of itself.

A record names its bytes by digest, but holds numbers too, such as an accuracy. One flipped bit makes another number of
one, which is as good JSON as before, and which the gate and the release would believe.
"""

from __future__ import annotations

import hashlib
import re

KIND = "sealed-json"

_SEALED = re.compile(rb"(?P<seal>[0-9a-f]{64}) (?P<text>.*)", re.DOTALL)


class Unsealed(ValueError):
    """What was read is not what was written."""


def seal(text: bytes) -> bytes:
    """Put the digest of a text before it."""
    return hashlib.sha256(text).hexdigest().encode() + b" " + text


def unsealed(data: bytes) -> bytes:
    """Return what was sealed.

    Args:
        data: What `SealedSerializer.dumps` gave.

    Raises:
        Unsealed: It has decayed.
    """
    found = _SEALED.fullmatch(data)
    if found is None or hashlib.sha256(found["text"]).hexdigest().encode() != found["seal"]:
        raise Unsealed("it is not what was written: its digest is another one")
    return found["text"]
