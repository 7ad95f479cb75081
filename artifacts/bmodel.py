"""Reading bmodel files: what a compiled model takes, gives and needs, and whether its bytes are whole.

File format: a header of 64 bytes (magic, then the sizes of the three parts), a FlatBuffer, a binary part. The header is
``MODEL_HEADER_T`` of tpu-mlir's ``bmodel.hpp``; for the FlatBuffer see `artifacts.bmodel_content`.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any, BinaryIO, Dict, Tuple

from artifacts.bmodel_content import content_of
from artifacts.bmodel_info import BmodelInfo, DeviceMemory, NetInfo, StageInfo, TensorInfo, describe, weight_spans
from artifacts.bounded import opened_regular
from artifacts.digest import CHUNK_BYTES, canonical_json, digest_bytes
from artifacts.errors import BmodelError
from artifacts.files import PathLike
from artifacts.flatbuffer import root_table

MAGIC = 0xFF55AAEE
HEADER_BYTES = 64
# The FlatBuffer of a full-size model is some hundred kB; the limit keeps a damaged size from filling the memory.
MAX_FLATBUFFER_BYTES = 256 << 20
FIXED_TIME = b"Thu Jan  1 00:00:00 1970"

# Field ids in Model and, the last, in KernelModule.
_TIME, _CHIP, _KERNEL_MODULE, _MODE = "2", "3", "6", "2"

__all__ = [
    "BmodelInfo",
    "DeviceMemory",
    "NetInfo",
    "StageInfo",
    "TensorInfo",
    "content_digest",
    "normalisable",
    "normalised",
    "read_bmodel",
]


def read_bmodel(path: PathLike) -> BmodelInfo:
    """Read what a bmodel file says, checking sizes and offsets, and hash its weights.

    Args:
        path: The file. Only its header and FlatBuffer are held in memory.

    Returns:
        The description; `weight_sha256_ok` is False where weight bytes changed after the compiler wrote them, which the
        vendor's runtime does not notice.

    Raises:
        BmodelError: It is no bmodel, is cut short or too long, or its description is damaged.
        OSError: The file cannot be read.
    """
    with opened_regular(path) as stream:
        try:
            head, binary_start, binary_bytes = _read_head(stream)
            model = root_table(head[_sizes(head)[0] :])
            nets = model.tables(4)
            spans = weight_spans(nets, binary_bytes)
            sound = all(_sha256_of(stream, binary_start + start, size) == code for start, size, code in spans)
            return describe(model, nets, sum(size for _, size, _ in spans), sound)
        except BmodelError as error:
            raise BmodelError(error.reason, Path(path)) from error


def content_digest(path: PathLike) -> str:
    """Return a digest that is equal for two compilations of the same thing.

    It covers what the description says, without the time of compilation and without the word KernelModule.mode that the
    compiler leaves uninitialised on BM1684, and every byte of the binary part.

    Raises:
        BmodelError: The file is not a sound bmodel.
        OSError: The file cannot be read.
    """
    with opened_regular(path) as stream:
        try:
            head, binary_start, _ = _read_head(stream)
            content = _lasting(head[_sizes(head)[0] :])
        except BmodelError as error:
            raise BmodelError(error.reason, Path(path)) from error
        hasher = hashlib.sha256(digest_bytes(canonical_json(content)).encode())
        stream.seek(binary_start)
        for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
            hasher.update(chunk)
    return "sha256:" + hasher.hexdigest()


def normalised(data: bytes) -> bytes:
    """Return a bmodel's bytes with a fixed time of compilation, and KernelModule.mode 0 on BM1684.

    The result is a valid bmodel of the same size, and applying this twice changes nothing more. Two compilations of
    the same model for BM1684X or BM1688 become equal. For BM1684 they do so only where the uninitialised word was
    stored in both: where it happened to be 0 the compiler left it out and laid the description out differently.
    Compare such files by `content_digest`.

    Args:
        data: A whole bmodel file.

    Raises:
        BmodelError: The bytes are not a sound bmodel.
    """
    header_bytes, flatbuffer_bytes, binary_bytes = _sizes(data)
    split = header_bytes + flatbuffer_bytes
    if len(data) != split + binary_bytes:
        raise BmodelError(_size_problem(len(data), header_bytes, flatbuffer_bytes, binary_bytes))
    model = root_table(data[header_bytes:split])
    result = bytearray(data)
    time = model.span(int(_TIME))
    if time is None:
        raise BmodelError("it has no time of compilation")
    where, length = header_bytes + time[0], time[1]
    shown = length - data[where : where + length].endswith(b"\n")
    result[where : where + shown] = FIXED_TIME[:shown].ljust(shown)
    module = model.table(int(_KERNEL_MODULE)) if model.text(int(_CHIP)) == "BM1684" else None
    mode = module.place(int(_MODE), 4) if module is not None else None
    if mode is not None:
        result[header_bytes + mode : header_bytes + mode + 4] = bytes(4)
    # A damaged description may have its time lie upon something else.
    if _lasting(bytes(result[header_bytes:split])) != _lasting(data[header_bytes:split]):
        raise BmodelError("its time of compilation lies upon other things that it says")
    return bytes(result)


def normalisable(data: bytes) -> bool:
    """Tell whether `normalised` makes this file equal to any other compilation of the same thing.

    Args:
        data: A whole bmodel file.

    Returns:
        False for BM1684 where the word that the compiler leaves uninitialised happened to be 0, and is left out.

    Raises:
        BmodelError: The bytes are not a sound bmodel.
    """
    header_bytes, flatbuffer_bytes, _ = _sizes(data)
    model = root_table(data[header_bytes : header_bytes + flatbuffer_bytes])
    module = model.table(int(_KERNEL_MODULE))
    return model.text(int(_CHIP)) != "BM1684" or module is None or module.place(int(_MODE), 4) is not None


def _lasting(description: bytes) -> Dict[str, Any]:
    """What a FlatBuffer says that is not different for each compilation."""
    content = content_of(root_table(description))
    content.pop(_TIME, None)
    if content.get(_CHIP) == "BM1684":
        content.get(_KERNEL_MODULE, {}).pop(_MODE, None)
    return content


def _sizes(data: bytes) -> Tuple[int, int, int]:
    if len(data) < HEADER_BYTES:
        raise BmodelError(f"it has {len(data)} bytes, less than the header of {HEADER_BYTES}")
    magic, header_bytes, flatbuffer_bytes, binary_bytes = struct.unpack_from("<4I", data)
    if magic != MAGIC:
        raise BmodelError(f"it starts with 0x{magic:08x} instead of 0x{MAGIC:08x}")
    if not HEADER_BYTES <= header_bytes <= 64 * HEADER_BYTES:
        raise BmodelError(f"its header says that it has {header_bytes} bytes")
    if flatbuffer_bytes > MAX_FLATBUFFER_BYTES:
        raise BmodelError(f"its description would have {flatbuffer_bytes} bytes")
    return header_bytes, flatbuffer_bytes, binary_bytes


def _size_problem(size: int, header: int, flatbuffer: int, binary: int) -> str:
    return f"it has {size} bytes instead of {header} + {flatbuffer} + {binary} (header, description, binary part)"


def _read_head(stream: BinaryIO) -> Tuple[bytes, int, int]:
    first = stream.read(HEADER_BYTES)
    header_bytes, flatbuffer_bytes, binary_bytes = _sizes(first)
    size = stream.seek(0, 2)
    if size != header_bytes + flatbuffer_bytes + binary_bytes:
        raise BmodelError(_size_problem(size, header_bytes, flatbuffer_bytes, binary_bytes))
    stream.seek(0)
    return stream.read(header_bytes + flatbuffer_bytes), header_bytes + flatbuffer_bytes, binary_bytes


def _sha256_of(stream: BinaryIO, start: int, size: int) -> bytes:
    stream.seek(start)
    hasher = hashlib.sha256()
    while size > 0:
        chunk = stream.read(min(CHUNK_BYTES, size))
        if not chunk:
            break
        hasher.update(chunk)
        size -= len(chunk)
    return hasher.digest()
