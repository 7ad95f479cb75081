"""The client of one worker process: start it, feed it, and never leave it behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple, Type

import numpy as np

from artifacts.bmodel import BmodelInfo
from artifacts.environment import for_programs
from artifacts.errors import StoreError
from artifacts.files import storage_errors
from inference.engines.base import read_sound_bmodel
from inference.engines.pipes import FramePipes
from inference.errors import EngineError, ModelError, OptionError

WORKER_SCRIPT = Path(__file__).with_name("worker_main.py")

SIMULATED_CHIPS = ("BM1684", "BM1684X", "BM1688")

# The vendor's interpreter is 10 to 70 times slower on one thread; the results do not depend on the number.
THREADS = 2

# By default a thread that has nothing to do spins for 200 ms: half of the processor time, and no result the sooner.
WAIT_POLICY = "PASSIVE"

_GRACE_S = 2.0
_LOG_LINES = 12
_LOG_TAIL_BYTES = 1 << 16
_WEIGHT_FILE = re.compile(r'module\.weight_file = "([^"]*)"')


class WorkerInput(NamedTuple):
    """What the loaded model takes.

    Attributes:
        name: The model's own name for it.
        shape: (N, 3, H, W).
        dtype: ``float32``, or ``uint8`` where the model takes raw pixels.
    """

    name: str
    shape: Tuple[int, ...]
    dtype: str


class WorkerProcess:
    """One model, loaded once, in a process of its own under the compiler's Python.

    The process starts with the object and ends with `close`, with the ``with`` block, or with this
    process, however that ends. After a failure it is gone. Calls from several threads are served
    one after the other; `close` from another thread ends a call that is under way.

    Attributes:
        input: What `run` takes.
        output_names: The model's outputs, in its own order.
        bmodel: What a ``.bmodel`` says about itself; None for an ``.mlir``.
        log: The file that holds everything that the worker printed.
        pid: The worker's process id.
    """

    def __init__(
        self,
        python: Path,
        model: Path,
        *,
        log: Path,
        chip: Optional[str] = None,
        environment: Optional[Mapping[str, str]] = None,
        start_timeout_s: float = 120.0,
        timeout_s: float = 900.0,
    ) -> None:
        """Start the worker and wait until its model is loaded.

        Args:
            python: The compiler environment's Python.
            model: An ``.mlir`` file (its weights beside it, under the name that it states) or a ``.bmodel``.
            log: Where the worker's own output goes; its folder exists, a file there is replaced.
            chip: The chip that a ``.bmodel`` has to be for; None takes the one that it names.
            environment: Variables added to the few of this process's own that it gets: no password is among them.
            start_timeout_s: Longest wait for the model to be loaded.
            timeout_s: Longest wait for one `run`, unless that says otherwise.

        Raises:
            ModelError: The file is missing or damaged, is for another chip, or is no model of one input.
            EngineError: The process cannot be started, dies, or is not ready in time.
        """
        self.log = Path(log)
        self.bmodel = _check_model(Path(model), chip)
        self._model = Path(model).absolute()
        self._timeout_s = timeout_s
        self._turn = threading.RLock()
        argument = self.bmodel.chip.lower() if self.bmodel else "-"
        self._process, self._lifeline = self._spawn(Path(python), argument, environment or {})
        self.pid = self._process.pid
        try:
            # The pipes exist: both were asked for.
            assert self._process.stdin is not None and self._process.stdout is not None
            self._pipes = FramePipes(self._process.stdout.fileno(), self._process.stdin.fileno())
            header, _ = self._exchange(None, start_timeout_s, "loaded its model")
            if header["kind"] != "ready":
                raise ModelError(
                    f"{self._model} cannot be loaded: {header['message']}. The log is {self.log}", self._model
                )
            entry = header["inputs"][0]
            self.input = WorkerInput(entry["name"], tuple(entry["shape"]), entry["dtype"])
            self.output_names: Tuple[str, ...] = tuple(header["outputs"])
        except BaseException:
            self._end(polite=False)
            raise

    def run(self, batch: np.ndarray, timeout_s: Optional[float] = None) -> Dict[str, np.ndarray]:
        """Run the model once.

        Args:
            batch: [N, 3, H, W] of exactly `input`'s shape and dtype.
            timeout_s: Longest wait; None takes the one given at the start.

        Returns:
            Each output by its name, float32 (integer outputs scaled with the model's own scale).

        Raises:
            OptionError: The batch has another shape or dtype than the model's input.
            EngineError: The worker failed, died or took too long; after the last two it is gone.
        """
        with self._turn:
            if self._process.stdin is None or self._process.stdin.closed:
                raise EngineError(f"the worker for {self._model.name} was closed; start another", self.log)
            try:
                header, outputs = self._exchange(batch, self._timeout_s if timeout_s is None else timeout_s, "answered")
            except BaseException:
                self._end(polite=False)  # what is still on its way would be taken for the next answer
                raise
        if header["kind"] == "refused":
            raise OptionError(f"{self._model.name}: {header['message']}")
        if header["kind"] != "result":
            raise EngineError(self._failure(f"failed: {header['message']}"), self.log)
        return outputs

    def close(self) -> None:
        """End the process: ask, then terminate, then kill its whole group. May be called twice."""
        self._end(polite=True)

    def _end(self, polite: bool) -> None:
        if not self._turn.acquire(blocking=False):
            # Another thread waits for an answer: it gets the process's end, and lets go of the pipes.
            _end_group(self._process, polite=False)
            self._turn.acquire()
        try:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            _end_group(self._process, polite)
            self._lifeline.close()
        finally:
            self._turn.release()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _spawn(self, python: Path, chip: str, environment: Mapping[str, str]) -> Tuple[subprocess.Popen[bytes], Any]:
        theirs, ours = os.pipe()
        lifeline = os.fdopen(ours, "wb", buffering=0)  # an object, so that it is closed with this one
        # -I: neither our PYTHONPATH nor our modules beside the script belong into the compiler's process.
        argv = [str(python), "-I", str(WORKER_SCRIPT), str(self._model), chip, str(theirs)]
        variables = {
            **for_programs(os.environ),
            **environment,
            "OMP_NUM_THREADS": str(THREADS),
            "OMP_WAIT_POLICY": WAIT_POLICY,
        }
        try:
            with storage_errors(self.log.parent), self.log.open("wb") as log:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    env=variables,
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
        except (OSError, StoreError) as error:
            lifeline.close()
            if isinstance(error, StoreError):
                raise
            raise EngineError(
                f"the worker cannot be started with {python}: {error}. Check that the compiler's environment is "
                "complete and that the log's folder can be written",
                self.log,
            ) from error
        finally:
            os.close(theirs)
        return process, lifeline

    def _exchange(
        self, batch: Optional[np.ndarray], timeout_s: float, done: str
    ) -> Tuple[Dict[str, Any], Dict[str, np.ndarray]]:
        deadline = time.monotonic() + timeout_s
        try:
            if batch is not None:
                self._pipes.send({"kind": "run"}, {"batch": batch}, deadline)
            return self._pipes.receive(deadline)
        except TimeoutError as error:
            raise EngineError(
                self._failure(f"has not {done} within {timeout_s:g} s and was ended"), self.log
            ) from error
        except (EOFError, BrokenPipeError) as error:
            raise EngineError(self._failure(f"{self._end_text()} before it had {done}"), self.log) from error
        except ValueError as error:
            raise EngineError(self._failure(f"sent what is no answer ({error})"), self.log) from error

    def _end_text(self) -> str:
        try:
            status = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return "closed its pipes"
        if status >= 0:
            return f"ended with exit status {status}"
        return f"was killed by {signal.Signals(-status).name}"

    def _failure(self, what: str) -> str:
        words = _last_lines(self.log)
        said = f" Its last words:\n  {words}\n" if words else " It printed nothing. "
        return f"the worker for {self._model.name} {what}.{said}The whole log is {self.log}"


def _check_model(model: Path, chip: Optional[str]) -> Optional[BmodelInfo]:
    """Refuse, before any process starts, what would make the vendor's runtime abort or go wrong silently."""
    if not model.is_file():
        raise ModelError(f"there is no model file {model}", model)
    if model.suffix == ".mlir":
        with model.open("rb") as stream:
            named = _WEIGHT_FILE.search(stream.read(1 << 16).decode("utf-8", "replace"))
        if named and not (model.parent / named.group(1)).is_file():
            raise ModelError(f"{model} needs its weights {named.group(1)} beside it: keep both files together", model)
        return None
    info = read_sound_bmodel(model, chip)
    if info.chip not in SIMULATED_CHIPS:
        raise ModelError(f"{model} is for {info.chip}; there are simulators for {', '.join(SIMULATED_CHIPS)}", model)
    return info


def _last_lines(log: Path) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            lines = stream.read(_LOG_TAIL_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n  ".join([line for line in lines if line.strip()][-_LOG_LINES:])


def _end_group(process: subprocess.Popen[bytes], polite: bool) -> None:
    """Wait for a process whose input has ended; terminate and then kill its group where that is not enough."""
    for number in (None, signal.SIGTERM, signal.SIGKILL) if polite else (signal.SIGTERM, signal.SIGKILL):
        if number is not None and process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
            break
    # The compiler's OpenMP leaves this file behind when it is killed.
    with suppress(OSError):
        Path(f"/dev/shm/__KMP_REGISTERED_LIB_{process.pid}_{os.getuid()}").unlink()
