"""Records, indexes and manifests of a server in wrong hands."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from artifacts import media
from artifacts.digest import digest_bytes
from artifacts.errors import ArtifactError
from artifacts.golden import Golden
from artifacts.measurements import Measurements
from artifacts.oci import build, read_index, read_manifest
from artifacts.release import ReleaseRecord
from artifacts.signing import opened, public_key
from artifacts.statements import read_channel
from tests.artifacts.releases import SHARED, blob_of, model_bytes, record
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import golden, measurements, statement
from tests.hostile.case import Case, either, refused

Read = Callable[[bytes], object]

_TITLES = (
    "", ".", "..", "../x", "a/../x", "/x", "//x", "a//b", "a/", "a\\b", "C:x", "a\0b", "a\nb", "\x1b[2J", ".hidden",
    "-rf", "\u202egnp", "\uff41", "e\u0301", "\ud800", "a" * 201,
    "con\u2024/x", "a:b", "a*b", "~x", "$HOME", "%2e%2e/x",
)  # fmt: skip
_DIGESTS = (
    "",
    "sha256:",
    "sha256:" + "0" * 63,
    "sha256:" + "A" * 64,
    "sha512:" + "0" * 128,
    "md5:" + "0" * 32,
    "sha256:../" + "0" * 61,
    "SHA256:" + "0" * 64,
    "sha256:" + "0" * 64 + "\n",
    7,
    None,
    ["sha256"],
)
_SIZES: tuple[Any, ...] = (-1, 2**40 + 1, 2**63, 2**64, 10**400, 1.5, "x", None, [], 1e999)


def _built() -> tuple[dict[str, Any], dict[str, Any]]:
    one = record()
    files = {item.variant.path: blob_of(model_bytes(item.variant, one.version)) for item in one.variants}
    made = build(one, {**files, **{title: blob_of(data) for title, data in SHARED.items()}})
    return json.loads(made.index_json), json.loads(next(iter(made.manifests.values())))


def _manifests() -> Iterator[tuple[str, Read, object]]:
    index, manifest = _built()

    def with_layer(**changes: object) -> object:
        layers = [*manifest["layers"][:-1], {**manifest["layers"][-1], **changes}]
        return {**manifest, "layers": layers}

    def with_child(**changes: object) -> object:
        return {**index, "manifests": [{**index["manifests"][0], **changes}]}

    for title in _TITLES:
        yield f"a file called {title[:20]!r}", read_manifest, with_layer(annotations={media.TITLE: title})
    for digest in _DIGESTS:
        yield f"a layer {digest!r:.30}", read_manifest, with_layer(digest=digest)
        yield f"a child {digest!r:.30}", read_index, with_child(digest=digest)
    for size in _SIZES:
        yield f"a layer of {size!r:.20} bytes", read_manifest, with_layer(size=size)
        yield f"a child of {size!r:.20} bytes", read_index, with_child(size=size)
    yield "5000 layers", read_manifest, {**manifest, "layers": manifest["layers"] * 5000}
    yield "1001 chips", read_index, {**index, "manifests": index["manifests"][:1] * 1001}
    yield "a chip twice", read_index, {**index, "manifests": index["manifests"][:1] * 2}
    yield "a chip that is not known", read_index, with_child(annotations={media.CHIP: "BM9999"})
    yield "an index in an index", read_index, with_child(mediaType=media.INDEX, annotations={})
    yield "annotations that are numbers", read_manifest, with_layer(annotations={media.TITLE: 7})
    yield "a title twice", read_manifest, {**manifest, "layers": manifest["layers"][-1:] * 2}
    for part in ("config", "layers", "annotations"):
        for value in (None, 7, "x", [], {}, [7], {"a": 7}):
            if (part, value) not in (("layers", []),):
                yield f"{part} is {value!r}", read_manifest, {**manifest, part: value}
    yield "1.9 million children that are none", read_index, {**index, "manifests": [0] * 1_900_000}
    yield (
        "200 000 annotations that are none",
        read_index,
        with_child(annotations=dict.fromkeys(map(str, range(200_000)), 1)),
    )


def _records() -> Iterator[tuple[str, Read, object]]:
    whole = json.loads(record().to_json())
    for field in ("variants", "class_names", "provenance", "preprocess"):
        # Every field of the preprocessing has a default, and names that are not known belong to a newer minor version.
        for value in (None, 7, "x", *([] if field == "preprocess" else [{"a": 1}]), [7], [[]]):
            yield f"{field} is {value!r}", ReleaseRecord.from_json, {**whole, field: value}
    for field in ("variants", "class_names"):
        yield f"4 million {field} that are none", ReleaseRecord.from_json, {**whole, field: [0] * 4_000_000}
    yield "golden outputs of 1.9 million images", Golden.from_json, {
        "schema_version": "1.0", "shape": [1, 1, 1], "images": [0] * 1_900_000, "outputs": [],
    }  # fmt: skip
    for version in ("2.0", "99.1", "1", "1.x", "", None, 1.0, "1.0.0", "-1.0"):
        if version != 1.0:
            yield f"schema {version!r}", ReleaseRecord.from_json, {**whole, "schema_version": version}
    for scale in (0, -1, float("nan"), float("inf"), 1e999, "x"):
        yield (
            f"scale {scale}",
            ReleaseRecord.from_json,
            {**whole, "preprocess": {**whole["preprocess"], "scale": scale}},
        )
    for width in (0, -1, 8193, 2**63, 10**400, 0.5):
        yield (
            f"width {width!r:.20}",
            ReleaseRecord.from_json,
            {**whole, "preprocess": {**whole["preprocess"], "width": width}},
        )
    for version in ("", "v" * 101):
        yield f"version {version[:5]!r}", ReleaseRecord.from_json, {**whole, "version": version}
    nested = {**whole, "x": json.loads("[" * 100 + "]" * 100)}
    yield "nested 100 deep", ReleaseRecord.from_json, nested
    yield "a half character", ReleaseRecord.from_json, {**whole, "x": "\ud800"}


def _texts() -> Iterator[tuple[str, Read, bytes]]:
    whole = record().to_json()
    readers: tuple[Read, ...] = (
        ReleaseRecord.from_json,
        Golden.from_json,
        Measurements.from_json,
        read_index,
        read_manifest,
    )
    for read in readers:
        name = getattr(read, "__qualname__", "")
        yield f"{name}: nested 100 000 deep", read, b"[" * 100_000 + b"]" * 100_000
        yield f"{name}: a number of 5000 digits", read, b'{"schema_version":' + b"9" * 5000 + b"}"
        yield f"{name}: not UTF-8", read, b'{"schema_version":"\xff"}'
        yield f"{name}: NaN", read, b'{"schema_version":"1.0","x":NaN}'
        yield f"{name}: 20 MB", read, b" " * (20 << 20)
        yield f"{name}: a web page", read, b"<!doctype html>"
    yield (
        "a name twice",
        ReleaseRecord.from_json,
        whole.replace(b'"demonstration":', b'"version":"6.6.6","demonstration":'),
    )


def _signed() -> Iterator[tuple[str, bytes]]:
    for entry in ({}, [], {"payload": "", "payloadType": "", "signatures": []}, {"payload": 1}):
        yield f"an envelope {entry}", json.dumps(entry).encode()
    for sig in ("", "A", "====", "\u00e9", "A" * 60_000, base64.b64encode(b"\xff" * 64).decode()):
        envelope = {"payload": "e30=", "payloadType": media.CHANNEL_RECORD, "signatures": [{"sig": sig}]}
        yield f"a signature {sig[:10]!r}", json.dumps(envelope).encode()
    many = {"payload": "e30=", "payloadType": media.CHANNEL_RECORD, "signatures": [{"sig": "AAAA"}] * 17}
    yield "17 signatures", json.dumps(many).encode()


def cases(changed: int) -> Iterator[Case]:
    """Records and manifests of every kind.

    Args:
        changed: How many sound ones with some values changed there shall be, of each kind.
    """
    for what, read, document in [*_manifests(), *_records()]:
        data = json.dumps(document, separators=(",", ":")).encode()
        yield Case(what, refused(_reading(read, data), ArtifactError))
    for what, read, data in _texts():
        yield Case(what, refused(_reading(read, data), ArtifactError))
    key = public_key(digest_bytes(b"key")[7:39].encode())
    for what, data in _signed():
        yield Case(what, refused(_reading(lambda text: opened(text, media.CHANNEL_RECORD, [key]), data), ArtifactError))
        yield Case(
            f"{what}, as a channel", refused(_reading(lambda text: read_channel(text, [key]), data), ArtifactError)
        )
    index, manifest = (json.dumps(one).encode() for one in _built())
    sound: tuple[tuple[Read, bytes], ...] = (
        (ReleaseRecord.from_json, record().to_json()),
        (Golden.from_json, next(iter(golden.seeds()))),
        (Measurements.from_json, next(iter(measurements.seeds()))),
        (read_index, index),
        (read_manifest, manifest),
        (statement.target, next(iter(statement.seeds()))),
    )
    dice = random.Random(19)
    for number in range(changed):
        for read, data in sound:
            other = mutated(data, dice.randrange(2**32), 1 << 22) or b""
            yield Case(f"changed {number}", either(_reading(read, other), ArtifactError))


def _reading(read: Read, data: bytes) -> Callable[[], object]:
    return lambda: read(data)
