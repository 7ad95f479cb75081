"""The simulator as an engine: the very bmodel, run on the CPU as the chip would run it."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Optional, Type

import numpy as np

from inference.engines.base import EngineInfo, check_batch, check_contract, check_single, run_in_slices
from inference.engines.locate import simulator_python
from inference.engines.worker import WorkerProcess
from inference.errors import EngineError, ModelError


class SimulatorEngine:
    """A ``.bmodel`` in the vendor's simulator, in one worker process that lives as long as this object.

    A call takes seconds where the chip takes milliseconds (0.1 to 40 s a image); its result is the chip's.
    """

    def __init__(
        self,
        bmodel: Path,
        *,
        chip: Optional[str] = None,
        python: Optional[Path] = None,
        log: Optional[Path] = None,
        timeout_s: float = 900.0,
    ) -> None:
        """Load the model.

        Args:
            bmodel: The compiled file, of one network with one input and one output.
            chip: The chip that it has to be for; None takes the one that it names.
            python: The compiler environment's Python; None looks for it (`simulator_python`).
            log: Where the simulator's own output goes; None takes a temporary file, kept only after a failure.
            timeout_s: Longest wait for one run of the model.

        Raises:
            EngineNotFound: There is no compiler environment.
            ModelError: The file is missing or damaged, is for another chip, or is no CenterNet of ours.
            EngineError: The simulator cannot be started, or dies.
        """
        self._temporary_log: Optional[Path] = None
        interpreter = simulator_python(python)
        if log is None:
            with tempfile.NamedTemporaryFile(prefix="centernet-simulator-", suffix=".log", delete=False) as stream:
                log = self._temporary_log = Path(stream.name)
        try:
            self._worker = WorkerProcess(interpreter, Path(bmodel), log=log, chip=chip, timeout_s=timeout_s)
        except ModelError:
            if log.stat().st_size == 0:  # refused before the simulator started
                self._remove_log()
            raise
        try:
            self._info = _info(self._worker, Path(bmodel))
            check_contract(self._info)
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> EngineInfo:
        """What is loaded."""
        return self._info

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the model; see `inference.engines.base.Engine.run`."""
        check_batch(batch, self._info)
        try:
            return run_in_slices(batch, self._info.batch, self._run_full)
        except EngineError:
            self._temporary_log = None  # the message names it
            raise

    def close(self) -> None:
        """End the worker. May be called twice."""
        self._worker.close()
        self._remove_log()

    def __enter__(self) -> SimulatorEngine:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _run_full(self, batch: np.ndarray) -> np.ndarray:
        return self._worker.run(batch)[self._worker.output_names[0]]

    def _remove_log(self) -> None:
        if self._temporary_log is not None:
            with suppress(OSError):
                self._temporary_log.unlink()
            self._temporary_log = None


def _info(worker: WorkerProcess, path: Path) -> EngineInfo:
    """Describe the first stage of the first network, the one that the runtime exposes."""
    if worker.bmodel is None:
        raise ModelError(f"{path} is no bmodel: the simulator runs compiled models", path)
    stage = worker.bmodel.nets[0].stages[0]
    check_single(path, len(worker.bmodel.nets), len(stage.inputs), len(stage.outputs))
    return EngineInfo("simulator", worker.bmodel.chip, stage.inputs[0], worker.input.dtype, stage.outputs[0])
