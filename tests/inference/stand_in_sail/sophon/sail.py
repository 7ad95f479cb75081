"""A stand-in for ``sophon.sail``: the part of its Python interface that the project uses, without a device.

Signatures as in sophgo/sophon-sail, docs/source_en/module_python (sail.Engine.rst, sail.Tensor.rst, sail.Handle.rst,
Basicfunction.rst, 0_enum_type); what these pages leave open as in its sources at release 3.10.7: a tensor takes only
its own type and shape, and gives a copy, of float16 as uint16; `process` refuses tensors without memory on both sides.
The model is read from the file's own description.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from artifacts.bmodel import TensorInfo, read_bmodel
from artifacts.errors import BmodelError

__version__ = "master(20260101_000000)"

targets: List[str] = ["BM1684X"]
"""What `Handle.get_target` says of each device; a test changes it."""

compute: Optional[Callable[[np.ndarray], np.ndarray]] = None
"""From the input as the model stores it to the output as the model stores it; None counts up from the input's sum."""

calls: List[Dict[str, np.ndarray]] = []
"""What the model was given, as stored, by each call of `process`."""

loaded: List[str] = []
"""The files that were loaded."""

differs: Dict[str, Any] = {}
"""What an engine says instead of the truth: input_name, input_shape, input_dtype, input_scale, output_..., graphs."""


class SailDeviceError(Exception):
    pass


class SailEngineError(Exception):
    pass


class SailTensorError(Exception):
    pass


class Dtype(enum.Enum):
    BM_FLOAT32 = 0
    BM_FLOAT16 = 1
    BM_INT8 = 2
    BM_UINT8 = 3
    BM_INT16 = 4
    BM_UINT16 = 5
    BM_INT32 = 6
    BM_UINT32 = 7


class IOMode(enum.Enum):
    SYSI = 0
    SYSO = 1
    SYSIO = 2
    DEVIO = 3


def get_available_tpu_num() -> int:
    if not targets:
        raise SailDeviceError("bm_dev_getcount failed")
    return len(targets)


class Handle:
    def __init__(self, tpu_id: int) -> None:
        if not 0 <= tpu_id < len(targets):
            raise SailDeviceError("init device failure")
        self._tpu_id = tpu_id

    def get_device_id(self) -> int:
        return self._tpu_id

    def get_sn(self) -> str:
        return "Error"

    def get_target(self) -> str:
        return targets[self._tpu_id]


class Tensor:
    def __init__(
        self, handle: Handle, shape: List[int], dtype: Dtype, own_sys_data: bool = False, own_dev_data: bool = False
    ) -> None:
        if not isinstance(handle, Handle) or type(shape) is not list or not isinstance(dtype, Dtype):
            raise TypeError("__init__(): incompatible constructor arguments")
        self.handle = handle
        self.whole = own_sys_data and own_dev_data
        # Where numpy has the type, but sail's bindings do not, their arrays are of uint16.
        self.stored = np.zeros(shape, {"float16": "uint16"}.get(name := dtype.name[3:].lower(), name))

    def shape(self) -> List[int]:
        return list(self.stored.shape)

    def update_data(self, data: np.ndarray) -> None:
        if data.shape != self.stored.shape:
            raise SailTensorError("invalid argument")
        if data.dtype != self.stored.dtype:
            raise SailTensorError("Wrong dtype of input array!")
        self.stored[...] = data

    def asnumpy(self) -> np.ndarray:
        return self.stored.copy()


class Engine:
    def __init__(self, bmodel_path: str, tpu_id: int, mode: IOMode) -> None:
        if type(bmodel_path) is not str or not isinstance(mode, IOMode):
            raise TypeError("__init__(): incompatible constructor arguments")
        self._handle = Handle(tpu_id)
        self._mode = mode
        try:
            if not Path(bmodel_path).is_file():
                raise SailEngineError("invalid bmodel")
            self._net = read_bmodel(bmodel_path).nets[0]
        except BmodelError as error:
            raise SailEngineError("invalid bmodel") from error
        loaded.append(bmodel_path)

    def get_handle(self) -> Handle:
        return self._handle

    def get_device_id(self) -> int:
        return self._handle.get_device_id()

    def get_graph_names(self) -> List[str]:
        return list(differs.get("graphs", [self._net.name]))

    def graph_is_dynamic(self, graph_name: str) -> bool:
        return False

    def get_input_names(self, graph_name: str) -> List[str]:
        return [differs.get("input_name", tensor.name) for tensor in self._net.stages[0].inputs]

    def get_output_names(self, graph_name: str) -> List[str]:
        return [differs.get("output_name", tensor.name) for tensor in self._net.stages[0].outputs]

    def get_input_shape(self, graph_name: str, tensor_name: str) -> List[int]:
        return list(differs.get("input_shape", self._input.shape))

    def get_output_shape(self, graph_name: str, tensor_name: str) -> List[int]:
        return list(differs.get("output_shape", self._output.shape))

    def get_input_dtype(self, graph_name: str, tensor_name: str) -> Dtype:
        return Dtype[differs.get("input_dtype", f"BM_{self._input.dtype.upper()}")]

    def get_output_dtype(self, graph_name: str, tensor_name: str) -> Dtype:
        return Dtype[differs.get("output_dtype", f"BM_{self._output.dtype.upper()}")]

    def get_input_scale(self, graph_name: str, tensor_name: str) -> float:
        return float(differs.get("input_scale", self._input.scale))

    def get_output_scale(self, graph_name: str, tensor_name: str) -> float:
        return float(differs.get("output_scale", self._output.scale))

    def process(
        self,
        graph_name: str,
        input_tensors: Dict[str, Tensor],
        output_tensors: Dict[str, Tensor],
        core_list: Optional[List[int]] = None,
    ) -> None:
        (name, given), (made_name, made) = *input_tensors.items(), *output_tensors.items()
        if not given.whole or name != self._input.name or given.shape() != list(self._input.shape):
            raise SailEngineError("bad input")
        if not made.whole or made_name != self._output.name or made.shape() != list(self._output.shape):
            raise SailEngineError("bad output")
        calls.append({name: given.stored.copy()})
        values = np.asarray((compute or self._count)(given.stored.copy()))
        made.stored[...] = values.astype(np.float16).view(np.uint16) if self._output.dtype == "float16" else values

    @property
    def _input(self) -> TensorInfo:
        return self._net.stages[0].inputs[0]

    @property
    def _output(self) -> TensorInfo:
        return self._net.stages[0].outputs[0]

    def _count(self, stored: np.ndarray) -> np.ndarray:
        """Each image's output counts up from the sum of its input, within 0..99."""
        sums = stored.reshape(len(stored), -1).astype(np.float64).sum(axis=1)
        count = np.arange(np.prod(self._output.shape[1:]), dtype=np.float64)
        values = (np.rint(sums)[:, None] + count[None, :]) % 100
        return np.asarray(values.reshape(self._output.shape))
