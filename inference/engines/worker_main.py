"""The worker: keeps one model loaded and runs it, in a process of its own, under the compiler's Python.

`inference.engines.worker` starts it as a script, and imports nothing but the frame format from it.
The script runs where only numpy and the vendor's ``tpu_mlir`` are installed.

    python worker_main.py MODEL(.mlir|.bmodel) CHIP LIFELINE

MODEL is an ``.mlir`` for the vendor's interpreter or a ``.bmodel`` for its chip simulator. CHIP is
the chip's name in lower case (ignored for ``.mlir``). LIFELINE is the number of a pipe's read end.

Frames go both ways over the pipes that were standard input and output: magic ``CNW1``, the length
of the JSON header (uint32), the length of the payload (uint64), little endian; then the header and
the payload. ``header["arrays"]`` lists name, dtype and shape of the C-ordered arrays in the payload.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import json
import math
import os
import re
import select
import struct
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO, Callable

import numpy as np

FRAME = struct.Struct("<4sIQ")
MAGIC = b"CNW1"
MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 1 << 32

CMODEL_LIBRARIES = {"bm1684": "bm1684", "bm1684x": "bm1684x", "bm1688": "bm1688"}

# Element types as MLIR and as pyruntime name them.
DTYPES = {
    "f32": "float32",
    "f16": "float16",
    "i8": "int8",
    "si8": "int8",
    "u8": "uint8",
    "ui8": "uint8",
}


class Refused(ValueError):
    """The caller's input or model does not fit; the worker stays as it is."""


class Interpreter:
    """A ``.mlir`` file in pymlir, the vendor's interpreter.

    Attributes:
        inputs: One description each: name, shape, the dtype that `run` takes, and scale.
        outputs: Names of the outputs.
    """

    def __init__(self, path: Path) -> None:
        self.inputs = _mlir_inputs(path)
        pymlir = importlib.import_module("pymlir")
        # Without it get_tensor returns rubbish instead of the tensor's values.
        pymlir.set_mem_mode("value_mem")
        # The file names its weights relative to the working directory.
        os.chdir(path.parent)
        self._module: Any = pymlir.module()
        self._module.load(path.name)
        if hasattr(self._module, "set_progress_silent"):  # not before 1.30
            self._module.set_progress_silent(True)
        for description, name in zip(self.inputs, self._module.input_names):
            description["name"] = name
        self.outputs = list(self._module.output_names)

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        name, shape = self.inputs[0]["name"], list(batch.shape)
        values = np.ascontiguousarray(batch, dtype=np.float32)
        if batch.dtype == np.uint8:
            self._module.set_tensor_from_int(name, values, shape)
        else:
            self._module.set_tensor(name, values, shape)
        self._module.invoke(True)
        return {name: np.array(self._module.get_tensor(name), dtype=np.float32) for name in self.outputs}


class Simulator:
    """A ``.bmodel`` file in the vendor's runtime over the simulator of one chip.

    Attributes:
        inputs: One description each: name, shape, the dtype that `run` takes, and scale.
        outputs: Names of the outputs.
    """

    def __init__(self, path: Path, chip: str) -> None:
        library = f"{os.environ['TPUC_ROOT']}/lib/libcmodel_{CMODEL_LIBRARIES[chip]}.so"
        # Every chip's library has the SONAME libcmodel.so: the one that is loaded first serves the
        # runtime, and the link inside the compiler's environment is neither read nor switched.
        self._library = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        self._model: Any = importlib.import_module("pyruntime_bm").Model(str(path), 0, "")
        self._net: Any = self._model.Net(self._model.networks[0])
        self.inputs = [_runtime_input(tensor) for tensor in self._net.inputs]
        self.outputs = [tensor.name for tensor in self._net.outputs]

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        tensor = self._net.inputs[0]
        tensor.data[:] = _stored(batch, tensor)
        shapes = self._net.forward_dynamic([list(batch.shape)])
        return {tensor.name: _real(tensor, shape) for tensor, shape in zip(self._net.outputs, shapes)}


def _mlir_inputs(path: Path) -> list[dict[str, Any]]:
    """The inputs as the signature of the module's main function gives them."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        signature = next((line for line in stream if "func.func @main(" in line), "")
    types = re.findall(r"%arg\d+: tensor<((?:\d+x)+)(\w+)>", signature.split("->")[0])
    if not types:
        raise Refused("the file has no main function with tensor inputs of fixed shape")
    inputs = []
    for dimensions, element in types:
        if element not in DTYPES:
            raise Refused(f"the model's input has the element type {element}, which is not supported")
        shape = [int(size) for size in dimensions.rstrip("x").split("x")]
        takes = "uint8" if DTYPES[element] == "uint8" else "float32"
        inputs.append({"name": "", "shape": shape, "dtype": takes, "scale": 1.0})
    return inputs


def _runtime_input(tensor: Any) -> dict[str, Any]:
    if tensor.dtype not in DTYPES:
        raise Refused(f"the model's input has the element type {tensor.dtype}, which is not supported")
    # uint8 with scale 1 is raw pixels; any other integer input stands for real numbers.
    raw = DTYPES[tensor.dtype] == "uint8" and tensor.qscale in (0, 1) and tensor.qzero_point == 0
    return {
        "name": tensor.name,
        "shape": list(tensor.data.shape),
        "dtype": "uint8" if raw else "float32",
        "scale": float(tensor.qscale),
    }


def _stored(batch: np.ndarray, tensor: Any) -> np.ndarray:
    """The values as the model's input stores them; integers are round_half_away(x * scale + zero point)."""
    dtype = DTYPES[tensor.dtype]
    if dtype not in ("int8", "uint8") or batch.dtype == np.uint8:
        return batch.astype(tensor.data.dtype)
    scaled = batch * np.float32(tensor.qscale) + np.float32(tensor.qzero_point)
    limits = np.iinfo(dtype)
    rounded = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)
    return np.asarray(np.clip(rounded, limits.min, limits.max), dtype=dtype)


def _real(tensor: Any, shape: list[int]) -> np.ndarray:
    """An output as float32 in its own shape; the runtime's buffer can be longer than that."""
    values = np.array(tensor.data).reshape(-1)[: math.prod(shape)].reshape(shape)
    if tensor.dtype == "bf16":
        return np.asarray((values.view(np.uint16).astype(np.uint32) << 16).view(np.float32))
    if values.dtype in (np.int8, np.uint8) and tensor.qscale:
        return np.asarray((values.astype(np.float32) - np.float32(tensor.qzero_point)) * np.float32(tensor.qscale))
    return np.asarray(values, dtype=np.float32)


def check_batch(batch: np.ndarray, wanted: dict[str, Any]) -> None:
    """Refuse what the runtime would take silently: another shape or dtype of the same number of bytes."""
    if list(batch.shape) != wanted["shape"] or batch.dtype != wanted["dtype"]:
        raise Refused(
            f"the batch is {batch.dtype} {list(batch.shape)}, but the model's input {wanted['name']!r} takes "
            f"{wanted['dtype']} {wanted['shape']}"
        )


def frame_parts(header: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> list[Any]:
    """A frame as byte buffers in the order in which they are sent; the arrays are not copied."""
    ordered = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    entries = [{"name": n, "dtype": a.dtype.name, "shape": list(a.shape)} for n, a in ordered.items()]
    text = json.dumps({**header, "arrays": entries}).encode()
    prefix = FRAME.pack(MAGIC, len(text), sum(array.nbytes for array in ordered.values()))
    return [prefix + text, *(array.reshape(-1).view(np.uint8).data for array in ordered.values())]


def read_frame(read: Callable[[int], Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The next frame's header, and its arrays by name.

    Args:
        read: Returns exactly as many bytes as asked for, or raises EOFError.

    Raises:
        EOFError: The stream has ended.
        ValueError: What comes is no frame.
    """
    magic, header_bytes, payload_bytes = FRAME.unpack(read(FRAME.size))
    if magic != MAGIC or header_bytes > MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
        raise ValueError(f"no frame: it starts with {magic!r}")
    header_data, payload = bytes(read(header_bytes)), read(payload_bytes)
    try:
        header = json.loads(header_data)
        arrays, offset = {}, 0
        for entry in header["arrays"]:
            count = math.prod(entry["shape"])
            array = np.frombuffer(payload, dtype=entry["dtype"], count=count, offset=offset)
            arrays[entry["name"]] = array.reshape(entry["shape"])
            offset += array.nbytes
    except (LookupError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError, SyntaxError) as error:
        raise ValueError(f"no frame: its header makes no sense ({type(error).__name__})") from error
    return header, arrays


def die_with_parent(lifeline: int) -> None:
    """Let the kernel end this process at once when the parent closes its end of the pipe, or dies.

    Nothing is ever written to it, so that the only event is its end; SIGIO's default action ends
    the process even inside the vendor's C++ code, where no Python thread would run. PR_SET_PDEATHSIG
    would not do: it fires when the parent's *thread* that started us ends.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it ended before the signal was armed
        os._exit(1)


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take standard input and output for the frames; what the C++ side prints on fd 1 goes to the log."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def load(path: Path, chip: str) -> Interpreter | Simulator:
    importlib.import_module("tpu_mlir")  # sets TPUC_ROOT and the module path
    model: Interpreter | Simulator = Interpreter(path) if path.suffix == ".mlir" else Simulator(path, chip)
    if len(model.inputs) != 1:
        raise Refused(f"the model has {len(model.inputs)} inputs, expected 1")
    return model


def serve(model: Interpreter | Simulator, read: Callable[[int], Any], send: Callable[..., None]) -> None:
    """Answer every frame until the stream ends."""
    while True:
        try:
            _, arrays = read_frame(read)
        except EOFError:
            return
        try:
            check_batch(arrays["batch"], model.inputs[0])
            outputs = model.run(arrays["batch"])
        except Refused as error:
            send({"kind": "refused", "message": str(error)})
        except Exception as error:
            traceback.print_exc()
            send({"kind": "error", "message": f"{type(error).__name__}: {error}"})
        else:
            send({"kind": "result"}, outputs)


def main() -> int:
    path, chip, lifeline = Path(sys.argv[1]).absolute(), sys.argv[2], int(sys.argv[3])
    die_with_parent(lifeline)
    source, sink = private_pipes()

    def read(count: int) -> bytes:
        data = source.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def send(header: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
        for part in frame_parts(header, arrays):
            sink.write(part)
        sink.flush()

    try:
        model = load(path, chip)
    except Exception as error:
        traceback.print_exc()
        send({"kind": "error", "message": f"{type(error).__name__}: {error}"})
        return 1
    send({"kind": "ready", "inputs": model.inputs, "outputs": model.outputs})
    serve(model, read, send)
    sys.stderr.flush()
    # Not a return: the simulator's threads never end, and would hold up the interpreter's own end.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
