"""The device as an engine: ``sophon.sail.Engine`` behind the protocol of `inference.engines.base`.

The interface is that of sophgo/sophon-sail, docs/source_en/module_python, sail.Engine.rst and sail.Tensor.rst. What
these pages leave open is in its sources (release 3.10.7: src/bind.cpp, src/engine.cpp, src/graph.cpp, src/tensor.cpp):

- `process` between tensors, whose memory is the caller's, moves the bytes as they are, and lets go of Python's lock
  while the chip computes. Between arrays it keeps the lock, converts integers, and takes float16 for float32.
- A tensor's `asnumpy` gives a copy, which float16 leaves as uint16; `update_data` takes just the tensor's own type.
- It does not know zero points. A launch that the runtime refuses is only logged.
- In the mode SYSO it copies the output from the device, but leaves the input to its user, who may have put it there on
  the device (`inference.bmcv`); `sync_s2d` copies one that is not.

A chip that hangs may keep a call for ever, so that each is made in a thread that can be left behind (`watched`).
"""

from __future__ import annotations

import math
import threading
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple, Type, TypeVar

import numpy as np

from artifacts.bmodel import BmodelInfo, TensorInfo
from inference.engines.base import (
    EngineInfo,
    check_batch,
    check_contract,
    read_sound_bmodel,
    run_in_slices,
)
from inference.engines.sail_checks import check_against_file, check_types, described_by
from inference.engines.sophon_sdk import Device, find_sail, open_device
from inference.engines.stored import real_numbers
from inference.engines.watched import GivenUp, Overdue, Watched
from inference.errors import EngineError, ModelError

T = TypeVar("T")

LOAD_S = 300.0
"""Longest wait for a model to be loaded, most of which is copying its weights."""

ANSWER_S = 60.0
"""Longest wait for one batch. The slowest model that is known takes less than two seconds."""


class _Loaded(NamedTuple):
    """What sail holds for one model: its engine, the graph's name, and a tensor each for input and output."""

    engine: Any
    graph: str
    given: Any
    made: Any


class Row(NamedTuple):
    """One image as the model takes it, on the device.

    Attributes:
        tensor: ``sail.Tensor`` [1, 3, H, W].
        memory: What its bytes lie in, to be kept as long as it.
    """

    tensor: Any
    memory: Any


class SailEngine:
    """A ``.bmodel`` on one device, loaded as long as this object lives.

    Attributes:
        device: The number of the device.
    """

    def __init__(self, bmodel: Path, *, device: int = 0, chip: Optional[str] = None, placed: bool = False) -> None:
        """Load the model onto the device.

        Args:
            bmodel: The compiled file, of one network with one input and one output.
            device: Which TPU, as ``bm-smi`` numbers them.
            chip: The chip that it has to be for; None takes the one that it names.
            placed: Whether inputs are put on the device by others, for `run_placed`.

        Raises:
            EngineNotFound: The vendor's module is not here.
            ModelError: The file is missing or damaged, is for another chip than the device's, is no CenterNet of ours,
                or sail says other things about it than it does itself.
            EngineError: There is no such device, it does not answer, or the vendor's runtime refuses the model.
        """
        path = Path(bmodel)
        described = read_sound_bmodel(path, chip)
        sail = find_sail()
        self.device = device
        self._placed = placed
        self._turn = threading.Lock()
        self._watched = Watched(f"centernet-sail-{device}")
        self._loaded: Optional[_Loaded]
        try:
            self._info, self._loaded = self._in_time(lambda: _brought(sail, path, described, device, placed), LOAD_S)
        except BaseException:
            self._watched.close()
            raise

    @property
    def info(self) -> EngineInfo:
        """What is loaded."""
        return self._info

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the model; see `inference.engines.base.Engine.run`.

        An integer input that is no image is quantized here, by the engine's scale: halves away from zero, saturated, as
        the simulator does it.
        """
        check_batch(batch, self._info)
        with self._turn:
            loaded = self._opened()
            return run_in_slices(
                batch, self._info.batch, lambda full: self._in_time(lambda: self._run_full(loaded, full), ANSWER_S)
            )

    def run_placed(self, rows: Sequence[Row]) -> np.ndarray:
        """Run the model on inputs that lie on the device; it was opened for such.

        Args:
            rows: One for each image, of the type in which the model stores its input.

        Returns:
            float32 [N, C + 4, h, w], the head tensor.

        Raises:
            EngineError: The engine failed, or the model was closed.
        """
        with self._turn:
            loaded = self._opened()
            size = self._info.batch
            parts = [rows[start : start + size] for start in range(0, len(rows), size)]
            heads = [self._in_time(partial(self._run_part, loaded, part), ANSWER_S) for part in parts]
        return heads[0] if len(heads) == 1 else np.concatenate(heads)

    def close(self) -> None:
        """Free the model; a call that is under way in another thread fails. May be called twice."""
        # sail has no call for this: the device's memory is freed with the objects.
        self._loaded = None
        self._watched.close()

    def __enter__(self) -> SailEngine:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _in_time(self, work: Callable[[], T], limit_s: float) -> T:
        return in_time(self._watched, work, limit_s, self.device)

    def _opened(self) -> _Loaded:
        if self._loaded is None:
            raise EngineError("the model was closed; load it again")
        return self._loaded

    def _run_full(self, loaded: _Loaded, batch: np.ndarray) -> np.ndarray:
        def fill() -> None:
            loaded.given.update_data(_stored(batch, self._info.input))
            if self._placed:
                loaded.given.sync_s2d()

        return self._run_filled(loaded, fill)

    def _run_part(self, loaded: _Loaded, rows: Sequence[Row]) -> np.ndarray:
        size = math.prod(self._info.input.shape[1:])

        def fill() -> None:
            # What an earlier batch left in further rows gives results that nobody looks at.
            for place, row in enumerate(rows):
                loaded.given.sync_d2d(row.tensor, 0, place * size, size)

        return self._run_filled(loaded, fill)[: len(rows)]

    def _run_filled(self, loaded: _Loaded, fill: Callable[[], None]) -> np.ndarray:
        given, made = self._info.input, self._info.output
        try:
            fill()
            loaded.engine.process(loaded.graph, {given.name: loaded.given}, {made.name: loaded.made})
            heads = np.asarray(loaded.made.asnumpy())
        except Exception as error:
            raise EngineError(f"sail failed on device {self.device}: {error}. dmesg and bm-smi may say more") from error
        if made.dtype == "float16" and heads.dtype == np.uint16:
            heads = heads.view(np.float16)
        if heads.dtype != made.dtype or heads.shape != made.shape:
            raise ModelError(
                f"the engine returned {heads.dtype} {list(heads.shape)} instead of the model's {made.dtype} "
                f"{list(made.shape)}"
            )
        return real_numbers(heads, made.scale)


def in_time(watched: Watched, work: Callable[[], T], limit_s: float, device: int) -> T:
    """Make a call into sail, and stop waiting for one that hangs.

    Args:
        watched: The thread that makes it.
        work: The call.
        limit_s: Longest wait.
        device: Which TPU, for messages.

    Raises:
        EngineError: It has not returned in time, or was given up.
        Exception: What it raised.
    """
    try:
        return watched.call(work, limit_s)
    except Overdue as overdue:
        raise EngineError(
            f"device {device} has not answered within {limit_s:g} s and takes no further call. See what bm-smi and "
            "dmesg say of it; a chip that hangs needs a reset by its driver, or a reboot"
        ) from overdue
    except GivenUp as given_up:
        raise EngineError("the model was closed while it was at work; load it again") from given_up


def _brought(sail: Any, path: Path, described: BmodelInfo, number: int, placed: bool) -> Tuple[EngineInfo, _Loaded]:
    """Load a model onto a device, and make sure that both are what they should be."""
    device = open_device(sail, number)
    if device.chip is not None and device.chip != described.chip:
        raise ModelError(
            f"{path} is for {described.chip}, but device {number} is a {device.chip}: choose the release's file in the "
            f"folder {device.chip}, or run this one in the simulator",
            path,
        )
    engine = _load(sail, path, device, described.chip, placed)
    graph, given, made = described_by(engine, path)
    check_against_file(graph, given, made, described, path)
    check_types(given, made, described, path)
    info = EngineInfo("sail", described.chip, given, _taken_dtype(given), made)
    check_contract(info)
    return info, _with_tensors(sail, engine, graph, info, number)


def _load(sail: Any, path: Path, device: Device, chip: str, placed: bool) -> Any:
    try:
        mode = sail.IOMode.SYSO if placed else sail.IOMode.SYSIO
        return sail.Engine(str(path), device.number, mode)
    except Exception as error:
        causes = ["the runtime is older than the compiler that made the model", "the device's memory is full"]
        if device.chip is None:
            causes = [f"the device is no {chip} (sail calls it {device.reported!r})", *causes]
        raise EngineError(
            f"the runtime of device {device.number} does not load {path}: {error}. Likely causes: {', '.join(causes)}. "
            "See what bm-smi and the lines above say"
        ) from error


def _with_tensors(sail: Any, engine: Any, graph: str, info: EngineInfo, device: int) -> _Loaded:
    """Allocate the input and the output, in both memories, once for all runs."""
    given, made = info.input, info.output
    try:
        handle = sail.Handle(device)
        return _Loaded(
            engine,
            graph,
            sail.Tensor(handle, list(given.shape), engine.get_input_dtype(graph, given.name), True, True),
            sail.Tensor(handle, list(made.shape), engine.get_output_dtype(graph, made.name), True, True),
        )
    except Exception as error:
        raise EngineError(
            f"device {device} has no tensors for the model's input and output: {error}. Its memory is full, or this "
            "sail is older than those that are known; see what bm-smi and the doctor say"
        ) from error


def _taken_dtype(given: TensorInfo) -> str:
    """What `run` takes: raw pixels for uint8 with scale 1, as the simulator has it; real numbers otherwise."""
    return "uint8" if given.dtype == "uint8" and given.scale == 1 else "float32"


def _stored(batch: np.ndarray, given: TensorInfo) -> np.ndarray:
    """The batch as the model's input stores it, contiguous."""
    if batch.dtype == given.dtype:
        return np.ascontiguousarray(batch)
    limits = np.iinfo(given.dtype)
    scaled = batch * np.float32(given.scale)
    whole = np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))
    return np.asarray(np.clip(whole, limits.min, limits.max), dtype=given.dtype, order="C")
