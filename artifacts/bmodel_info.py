"""What a bmodel's FlatBuffer says, as records.

The schema is ``include/tpu_mlir/Builder/BM168x/bmodel.fbs`` of tpu-mlir; the field numbers here are the ids there.
"""

from __future__ import annotations

import math
from typing import List, Set, Tuple

from pydantic import BaseModel, ConfigDict, Field

from artifacts.errors import BmodelError
from artifacts.flatbuffer import Table

MAX_DIMENSIONS = 8

# bm_data_type_t of bmlib/bmruntime (bmdef.h).
DTYPES = (
    "float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "bfloat16", "int4", "uint4",
)  # fmt: skip

_BINARY = "QQ"  # struct Binary: start, size
_ON_HOST = 1  # SubNet.subnet_mode: 0 is the chip, 1 the host's processor


class _Info(BaseModel):
    model_config = ConfigDict(frozen=True)


class TensorInfo(_Info):
    """An input or output of a model."""

    name: str
    dtype: str = Field(description="one of DTYPES")
    shape: Tuple[int, ...] = Field(description="in the tensor's own order, usually N, C, H, W")
    scale: float = Field(default=1.0, description="input: stored = real * scale; output: real = stored * scale")
    zero_point: int = 0


class DeviceMemory(_Info):
    """Memory that a model needs on the device, in bytes.

    For a model of one stage the first three are those of ``model_tool --info``, which leaves inputs and outputs out
    where they have an address space of their own (BM1688); `io` counts them there, and is 0 where `runtime` does.
    For several stages that tool counts the first one's instructions again in place of the others'; here each counts.
    """

    weight: int = Field(ge=0)
    instruction: int = Field(ge=0)
    runtime: int = Field(ge=0)
    io: int = Field(ge=0)

    @property
    def total(self) -> int:
        """All parts together."""
        return self.weight + self.instruction + self.runtime + self.io


class StageInfo(_Info):
    """One set of shapes that a net was compiled for."""

    inputs: Tuple[TensorInfo, ...]
    outputs: Tuple[TensorInfo, ...]
    core_num: int = Field(ge=1)
    host_parts: int = Field(
        default=0, ge=0, description="parts that the host's processor computes, because the chip cannot"
    )


class NetInfo(_Info):
    """One network in a bmodel."""

    name: str
    stages: Tuple[StageInfo, ...]


class BmodelInfo(_Info):
    """What a bmodel says about itself, and whether its weights are what the compiler wrote."""

    chip: str = Field(description="as written by the compiler: BM1684, BM1684X, BM1688")
    version: str
    time: str = Field(description="when it was compiled; local time of that machine, no time zone")
    core_num: int = Field(ge=1, description="cores that it needs: the largest of its stages")
    nets: Tuple[NetInfo, ...]
    device_memory: DeviceMemory
    kernel_module_bytes: int = Field(ge=0, description="size of the firmware inside; 0 on BM1684")
    weight_sha256_ok: bool = Field(description="the weights hash to the check code that the compiler wrote")


def weight_spans(nets: List[Table], binary_bytes: int) -> List[Tuple[int, int, bytes]]:
    """Return start and size in the binary part, and check code, of each distinct weight blob; stages share theirs.

    Args:
        nets: The Net tables.
        binary_bytes: Size of the binary part.

    Raises:
        BmodelError: A blob lies outside the binary part.
    """
    found: List[Tuple[int, int, bytes]] = []
    seen: Set[bytes] = set()
    for stage in (stage for net in nets for stage in net.tables(3)):
        memory = stage.table(4)
        span = memory.inline(2, _BINARY) if memory is not None else None
        if memory is None or span is None or memory.raw(1) in seen:
            continue
        start, size = span
        if start + size > binary_bytes:
            raise BmodelError(f"its weights end at byte {start + size} of a binary part of {binary_bytes}")
        seen.add(memory.raw(1))
        found.append((start, size, memory.raw(1)))
    return found


def describe(model: Table, nets: List[Table], weight: int, sound: bool) -> BmodelInfo:
    """Turn the FlatBuffer into records.

    Args:
        model: The root table.
        nets: Its Net tables.
        weight: Bytes of all weight blobs.
        sound: Whether they hash to their check codes.

    Raises:
        BmodelError: Something is missing or makes no sense.
    """
    chip = model.text(3)
    infos = tuple(NetInfo(name=net.text(0), stages=tuple(map(_stage, net.tables(3)))) for net in nets)
    stages = [stage for net in infos for stage in net.stages]
    if not chip or not stages:
        raise BmodelError("it names no chip" if not chip else "it holds no network")
    module = model.table(6)
    span = module.inline(1, _BINARY) if module is not None else None
    pairs = [(net, stage) for net in nets for stage in net.tables(3)]
    return BmodelInfo(
        chip=chip,
        version=f"{model.text(0)}.{model.text(1)}",
        time=model.text(2).strip(),
        core_num=max(stage.core_num for stage in stages),
        nets=infos,
        device_memory=DeviceMemory(
            weight=weight,
            instruction=sum(_instruction_bytes(stage) for _, stage in pairs),
            runtime=max(_context_bytes(stage) for _, stage in pairs)
            + (max(map(_conversion_bytes, stages)) if chip == "BM1684" else 0),
            io=max(_io_bytes(net, stage) for net, stage in pairs),
        ),
        kernel_module_bytes=span[1] if span else 0,
        weight_sha256_ok=sound,
    )


def _stage(stage: Table) -> StageInfo:
    inputs, outputs = tuple(map(_tensor, stage.tables(0))), tuple(map(_tensor, stage.tables(1)))
    if not inputs or not outputs:
        raise BmodelError("a network in it has no input or no output")
    on_host = [subnet for subnet in stage.tables(12) if subnet.number(0, "i") == _ON_HOST]
    return StageInfo(inputs=inputs, outputs=outputs, core_num=max(1, stage.number(16, "I")), host_parts=len(on_host))


def _tensor(tensor: Table) -> TensorInfo:
    name, code, scale = tensor.text(0), tensor.number(1, "I"), tensor.number(7, "f", 1.0)
    shapes = tensor.tables(5)
    shape = shapes[0].numbers(0, "Q") if shapes else ()
    if code >= len(DTYPES):
        raise BmodelError(f"its tensor {name[:80]!r} has the unknown data type {code}")
    if len(shape) > MAX_DIMENSIONS or any(size >= 1 << 31 for size in shape):
        raise BmodelError(f"its tensor {name[:80]!r} has the shape {shape[:MAX_DIMENSIONS]} of {len(shape)} dimensions")
    if not math.isfinite(scale):
        raise BmodelError(f"its tensor {name[:80]!r} has the scale {scale}")
    return TensorInfo(name=name, dtype=DTYPES[code], shape=shape, scale=scale, zero_point=tensor.number(10, "i"))


def _context_bytes(stage: Table) -> int:
    # "If this array exists, it will be used instead of ctx_size" (bmodel.fbs, NetParameter.ctx_sizes).
    return int(sum(stage.numbers(14, "Q")) or stage.number(3, "Q"))


def _conversion_bytes(stage: StageInfo) -> int:
    # BM1684 converts layouts on the way in and out, through a buffer for the largest tensor, at 4 bytes an element
    # unless it is int8 or uint8 (what model_tool adds to its "runtime").
    return max(
        math.prod(tensor.shape) * (1 if tensor.dtype in ("int8", "uint8") else 4)
        for tensor in stage.inputs + stage.outputs
    )


def _io_bytes(net: Table, stage: Table) -> int:
    if net.number(5, "i") == 0:
        return 0
    return int(sum(tensor.number(4, "Q") for tensor in stage.tables(0) + stage.tables(1)))


def _instruction_bytes(stage: Table) -> int:
    total = 0
    for subnet in stage.tables(12):
        if subnet.number(0, "i") != 0:
            continue
        if subnet.number(5, "i"):
            total += 4 * subnet.number(7, "I")
        groups = subnet.tables(1)
        for core in subnet.tables(14):
            groups += core.tables(0)
            total += sum(size for field in (1, 2, 3) for _, size in core.inlines(field, _BINARY))
        for group in groups:
            total += sum(span[1] for span in (group.inline(2, _BINARY), group.inline(3, _BINARY)) if span)
    return int(total)
