"""Annotations and settings that are nested, of wrong types, too large for their numbers, or contradict themselves."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from inference.annotations import read_annotations
from inference.errors import AnnotationError
from settings.errors import SettingsError
from settings.load import load_settings
from tasks.coco import parse_dataset
from tasks.errors import BadAnnotations
from tests.fuzz.mutation import HOSTILE, RAW, mutated
from tests.hostile.case import Case, either, refused

_SOUND: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
    "categories": [{"id": 1, "name": "circle"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0, "area": 12}],
}
_FIELDS = [(part, key) for part, entries in _SOUND.items() for key in entries[0]]
_WRONG: tuple[Any, ...] = (None, True, -1, "x", [], {}, [[]], {"a": 1}, -0.5, 10**400, 1e308 * 10)


def _documents() -> Iterator[tuple[str, bytes]]:
    yield "nested 100 000 deep", b"[" * 100_000 + b"]" * 100_000
    yield "objects nested 100 000 deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    yield "a number of 5000 digits", b"[" + b"9" * 5000 + b"]"
    yield "NaN", b'{"images":NaN}'
    yield "not UTF-8", b'{"images":"\xff"}'
    yield "UTF-16", json.dumps(_SOUND).encode("utf-16")[:-1]
    yield "a zip", b"PK\x03\x04" + bytes(100)
    yield "cut", json.dumps(_SOUND).encode()[:-10]
    for part, entries in _SOUND.items():
        for value in _WRONG:
            yield f"{part} is {str(value)[:20]}", _text({**_SOUND, part: value})
        yield f"no {part}", _text({key: value for key, value in _SOUND.items() if key != part})
        yield f"{part} twice the same", _text({**_SOUND, part: entries * 2})
    for part, key in _FIELDS:
        for value in (*_WRONG, [float("nan")] * 4, [1, 2, -3, 4], [1, 2, 3, float("inf")], [10**400, 0, 1, 1]):
            if (key, value) in ((("id"), -1), ("iscrowd", None)) or (part, key) == ("annotations", "id"):
                continue
            document = json.loads(json.dumps(_SOUND))
            document[part][0][key] = value
            yield f"{part}.{key} is {str(value)[:20]}", _text(document)


def _text(document: object) -> bytes:
    return json.dumps(document).encode()


def _names() -> Iterator[str]:
    yield from ("", ".", "..", "../a", "a/../../b", "/etc/passwd", "a\\..\\b", "a\0b", "a\nb", "\x1b[2J", "\u202egpj.a")
    yield from ("\ud800", "a//b", "./a", "a/")


def _profiles() -> Iterator[tuple[str, bytes]]:
    yield "arrays nested 100 000 deep", b"a = " + b"[" * 100_000
    yield "tables nested 10 000 deep", b"a" + b".a" * 10_000 + b" = 1"
    yield "a number of 5000 digits", b"calibration.count = " + b"9" * 5000
    yield "a hexadecimal number of 5000 digits", b"calibration.count = 0x" + b"f" * 5000
    yield "a profile that extends itself", b'extends = "profile.toml"'
    yield "not UTF-8", b'profile = "\xff"'
    yield "a key twice", b"workers = 1\nworkers = 2\n"
    yield "more than 256 KiB", b"# " + b"a" * (1 << 18)
    yield "a list of 50 000 wrong things", b"matrix.chips = [" + b"0," * 50_000 + b"]"
    for value in ("nan", "inf", "-inf", "1e999", "-1", "0", "1979-05-27", "[]", "{}", '""', "true", "[[]]"):
        for key in ("calibration.count", "workers", "gate.max_drop", "network.width", "preprocess.width"):
            yield f"{key} = {value}", f"{key} = {value}\n".encode()


def cases(folder: Path, changed: int) -> Iterator[Case]:
    """Annotations for the device and for the build, and profiles.

    Args:
        folder: Where they may be written.
        changed: How many sound annotations with some values changed there shall be.
    """
    for what, data in _documents():
        # Each reads what it needs: a device no sizes, the build no more than a nonsense id.
        yield Case(f"device: {what}", either(_device(folder, data), AnnotationError))
        yield Case(f"build: {what}", either(_build(data), BadAnnotations))
    for name in _names():
        document = json.loads(json.dumps(_SOUND))
        document["images"][0]["file_name"] = name
        yield Case(f"device: a file called {name!r}", refused(_device(folder, _text(document)), AnnotationError))
        yield Case(f"build: a file called {name!r}", refused(_build(_text(document)), BadAnnotations))
    for what, data in _profiles():
        yield Case(f"settings: {what}", either(_settings(folder, data), SettingsError))
    for text in (*map(str, HOSTILE), *RAW):
        yield Case(
            f"--set calibration.count={text[:20]}", either(_override(f"calibration.count={text}"), SettingsError)
        )
        yield Case(f"--set {text[:20]}", either(_override(text), SettingsError))
    dice, sound = random.Random(13), _text(_SOUND)
    for number in range(changed):
        data = mutated(sound, dice.randrange(2**32), 1 << 20) or b""
        yield Case(f"device: changed {number}", either(_device(folder, data), AnnotationError))
        yield Case(f"build: changed {number}", either(_build(data), BadAnnotations))


def _device(folder: Path, data: bytes) -> Callable[[], object]:
    def work() -> object:
        path = folder / "annotations.json"
        path.write_bytes(data)
        return read_annotations(path)

    return work


def _build(data: bytes) -> Callable[[], object]:
    return lambda: parse_dataset(data)


def _settings(folder: Path, data: bytes) -> Callable[[], object]:
    def work() -> object:
        path = folder / "profile.toml"
        path.write_bytes(data)
        return load_settings(path, environ={}).describe().encode()

    return work


def _override(text: str) -> Callable[[], object]:
    return lambda: load_settings(overrides=[text], environ={}).describe().encode()
