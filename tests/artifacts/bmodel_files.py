"""Bmodel files for tests: real ones that the compiler made, and built ones with any content.

The real ones in ``data/`` are two convolutions at 32 x 32 (torch.manual_seed(0); 3 to 8 to 4 channels), compiled for
BM1684 by tpu-mlir 1.30.2; what is expected of them is what its ``model_tool --info`` and ``--print`` say.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

DATA = Path(__file__).parent / "data"


def real_bmodel(name: str) -> bytes:
    """Return a compiled file's bytes: bm1684_int8, bm1684_int8_again (the same, compiled twice), bm1684_int8_qio."""
    return gzip.decompress((DATA / f"{name}.bmodel.gz").read_bytes())


class Tab(Dict[int, Any]):
    """A table to be written: field id to (code, number), (start, size), text, bytes, ("[Q]", numbers), Tab or [Tab]."""


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray(4)

    def align(self, size: int = 8) -> None:
        self.data += bytes(-len(self.data) % size)

    def table(self, fields: Tab) -> int:
        inline = {field: _inline(value) for field, value in fields.items()}
        offsets: Dict[int, int] = {}
        size = 4
        for field, (_, width) in inline.items():
            size += -size % min(width, 8)
            offsets[field] = size
            size += width
        self.align()
        vtable = len(self.data)
        count = max(fields, default=-1) + 1
        self.data += struct.pack("<HH", 4 + 2 * count, size)
        self.data += b"".join(struct.pack("<H", offsets.get(field, 0)) for field in range(count))
        self.align()
        start = len(self.data)
        self.data += struct.pack("<i", start - vtable) + bytes(size - 4)
        for field, (raw, width) in inline.items():
            self.data[start + offsets[field] : start + offsets[field] + width] = raw
        for field, value in fields.items():
            if isinstance(value, (str, bytes, list, Tab)) or (isinstance(value, tuple) and value[0] == "[Q]"):
                self.point(start + offsets[field], self.value(value))
        return start

    def point(self, slot: int, target: int) -> None:
        struct.pack_into("<I", self.data, slot, target - slot)

    def value(self, value: Any) -> int:
        if isinstance(value, Tab):
            return self.table(value)
        self.align()
        start = len(self.data)
        if isinstance(value, (str, bytes)):
            raw = value.encode() if isinstance(value, str) else value
            self.data += struct.pack("<I", len(raw)) + raw + b"\0"
        elif isinstance(value, tuple):
            self.data += struct.pack(f"<I{len(value[1])}Q", len(value[1]), *value[1])
        else:
            self.data += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for index, item in enumerate(value):
                self.point(start + 4 + 4 * index, self.table(item))
        return start


def _inline(value: Any) -> Tuple[bytes, int]:
    if isinstance(value, tuple) and value[0] != "[Q]":
        raw = struct.pack("<QQ", *value) if isinstance(value[0], int) else struct.pack("<" + value[0], value[1])
        return raw, len(raw)
    return bytes(4), 4


def flatbuffer(root: Tab) -> bytes:
    """Return the bytes of a FlatBuffer with this root table."""
    writer = _Writer()
    writer.point(0, writer.table(root))
    writer.align()
    return bytes(writer.data)


def assemble(description: bytes, binary: bytes) -> bytes:
    """Return a bmodel of a description and a binary part."""
    header = struct.pack("<4I", 0xFF55AAEE, 64, len(description), len(binary)) + bytes(48)
    return header + description + binary


def tensor(name: str, shape: List[int], code: int = 0, scale: float = 1.0, zero_point: int = 0) -> Tab:
    """Return a Tensor table."""
    size = 4 * shape[0] * shape[1] * shape[2] * shape[3]
    fields = {0: name, 1: ("I", code), 4: ("Q", size), 5: [Tab({0: ("[Q]", shape)})], 7: ("f", scale)}
    return Tab({**fields, 10: ("i", zero_point)})


def model_table(weights: bytes, **changes: Union[str, int, float]) -> Tab:
    """Return the Model table of a small network on one or two cores, weights at the start of the binary part.

    Args:
        weights: The weight blob.
        changes: chip, time, cores, mode (of the kernel module), dtype, gives, scale, dims, host (parts that the host
            computes), batch, side (of the square input, pixels).
    """
    cores = int(changes.get("cores", 1))
    commands = Tab({0: ("I", 1), 1: ("I", 2), 2: (len(weights), 256), 3: (len(weights), 128)})
    subnet = Tab({14: [Tab({0: [commands]})] * cores} if cores > 1 else {1: [commands]})
    batch, side = int(changes.get("batch", 1)), int(changes.get("side", 8))
    shape = [batch, 3, side, side] + [1] * int(changes.get("dims", 0))
    memory = Tab({1: hashlib.sha256(weights).digest(), 2: (0, len(weights))})
    stage = Tab(
        {
            0: [tensor("in", shape, int(changes.get("dtype", 0)), float(changes.get("scale", 1.0)))],
            1: [tensor("out", [batch, 84, side // 4, side // 4], int(changes.get("gives", 0)))],
            3: ("Q", 5),
            4: memory,
            12: [subnet] + [Tab({0: ("i", 1)})] * int(changes.get("host", 0)),
            14: ("[Q]", [4096]),
            16: ("I", cores),
        }
    )
    net = Tab({0: "tiny", 3: [stage], 5: ("i", 2)})
    root = {0: "B", 1: "2.2", 2: str(changes.get("time", "Sun Nov 22 14:18:29 2026\n"))}
    module = Tab({0: "kernel.so", 1: (0, 0), 2: ("i", int(changes.get("mode", 0)))})
    return Tab({**root, 3: str(changes.get("chip", "BM1688")), 4: [net], 6: module})


def built_bmodel(weights: bytes = b"weights!" * 16, **changes: Union[str, int, float]) -> bytes:
    """Return a built bmodel; the arguments are those of `model_table`."""
    return assemble(flatbuffer(model_table(weights, **changes)), weights + bytes(512))
