"""Stands in for the vendor's interpreter: doubles its input, and fails in the vendor's ways when told to."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any, List

import numpy as np

CRASH, HANG, FAIL, CHATTER, FLOOD = 101.0, 102.0, 103.0, 104.0, 105.0
"""A first input value that makes `invoke` abort, block inside C code, raise, or print."""

_hold_gil = ctypes.PyDLL(None)


def set_mem_mode(mode: str) -> None:
    assert mode == "value_mem"


class module:
    input_names = ("data",)
    output_names = ("heads",)

    def load(self, name: str) -> None:
        text = Path(name).read_text()
        if "hangs at load" in text:
            _hold_gil.sleep(600)
        if "fails at load" in text:
            raise RuntimeError("unknown operation")
        if "ignores SIGTERM" in text:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def set_tensor(self, name: str, values: np.ndarray, shape: List[int]) -> None:
        assert values.dtype == np.float32 and list(values.shape) == shape and name == "data"
        self._values = values

    set_tensor_from_int = set_tensor

    def invoke(self, fixed_to_float: bool) -> None:
        first = self._values.flat[0]
        if first == CRASH:
            os.write(2, b"UNREACHABLE executed at Module.cpp:1\n")
            os.abort()
        if first == HANG:
            _hold_gil.sleep(600)
        if first == FAIL:
            raise RuntimeError("not enough memory")
        if first == CHATTER:
            os.write(1, b"printed by C++ on the standard output\n")
        if first == FLOOD:
            sys.stderr.write("line\n" * 200_000)

    def get_tensor(self, name: str) -> Any:
        assert name == "heads"
        return self._values * 2
