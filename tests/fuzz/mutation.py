"""Changes to JSON that leave it JSON: bytes changed at random seldom get past the decoder, which is C and unseen."""

from __future__ import annotations

import json
import random
from typing import Any

# What breaks readers: the edges of numbers, texts that are no text, and the wrong kind of everything.
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 0.5, -0.0, 1e308, 1e-320,
    "", " ", "\0", "\ud800", "\u202egnp.exe", "..", "../x", "/etc/passwd", "C:\\x", "a" * 300, "sha256:" + "0" * 64,
    "sha512:" + "0" * 128, "1.0", "9.9", "999999.0", "latest", "2026-02-31T00:00:00Z",
    "BM1684X/centernet_int8_1b.bmodel", [], {}, [[]], [None], {"": None},
)  # fmt: skip
# As they stand in the text: what Python's encoder would not write.
RAW = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400, "1" + "0" * 5000, '"\\ud800"', "0.0e0")
_MARK = "\ue000raw\ue001"


def mutated(data: bytes, seed: int, most: int) -> bytes | None:
    """Change a JSON document in a few places.

    Args:
        data: The document.
        seed: Decides what is changed.
        most: Bytes that the result may have.

    Returns:
        Another document; None where the bytes are no JSON, or nothing short enough came out.
    """
    dice = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    raw: list[str] = []
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        document = _changed(document, dice, raw)
    try:
        text = json.dumps(document, ensure_ascii=dice.random() < 0.5, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    for piece in raw:
        text = text.replace(f'"{_MARK}"', piece, 1)
    if dice.random() < 0.02:
        depth = dice.choice((50, 500, 5000))
        text = "[" * depth + text + "]" * depth
    encoded = text.encode("utf-8", "surrogatepass")
    return encoded if len(encoded) <= most else None


def _changed(document: Any, dice: random.Random, raw: list[str]) -> Any:
    holders = [found for found in _holders(document) if found]
    if not holders or dice.random() < 0.02:
        return _value(dice, raw)
    holder = dice.choice(holders)
    key = dice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match dice.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 1 | 2:
            other = dice.choice(holders)
            values = list(other.values()) if isinstance(other, dict) else other
            holder[key] = json.loads(json.dumps(dice.choice(values))) if values else None
        case 3:
            holder[key] = [holder[key]] * dice.choice((1, 2, 20))
        case 4 if isinstance(holder[key], str) and holder[key]:
            place = dice.randrange(len(holder[key]))
            holder[key] = (
                holder[key][:place] + chr(dice.choice((0, 45, 46, 47, 48, 64, 92, 0x2028))) + holder[key][place:]
            )
        case 5 if isinstance(holder, dict):
            holder[dice.choice(("", "digest", "size", "annotations", "id", "\ud800", "x" * 100))] = _value(dice, raw)
        case _:
            holder[key] = _value(dice, raw)
    return document


def _value(dice: random.Random, raw: list[str]) -> Any:
    if dice.random() < 0.1:
        raw.append(dice.choice(RAW))
        return _MARK
    return json.loads(json.dumps(dice.choice(HOSTILE)))


def _holders(document: Any) -> list[Any]:
    found, waiting = [], [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list)):
            found.append(one)
            waiting += one.values() if isinstance(one, dict) else one
    return found
