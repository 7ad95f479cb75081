"""A stand-in for ``sophon.sail``: the part of its Python interface that the project uses, without a device.

Signatures as in sophgo/sophon-sail, docs/source_en/module_python (sail.Engine.rst, sail.Tensor.rst, sail.Handle.rst,
Basicfunction.rst, 0_enum_type); what these pages leave open as in its sources at release 3.10.7: a tensor takes only
its own type and shape, and gives a copy, of float16 as uint16; `process` refuses tensors without memory on both sides,
and copies what goes in to the device in the mode SYSIO alone. The model is read from the file's own description.

Of BMCV (sail.Bmcv.rst, sail.BMImage.rst, sail.PaddingAtrr.rst, src/cvwrapper.cpp; libsophon's bmvid/bmcv) scaling is
`inference.bmcv.modelled`'s. It has the traps of the real one: the nearest pixel unless told otherwise, planes of B, G,
R whatever went in, a `convert_to` that does nothing and says 0, and a decoder that does not turn images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import cv2
import numpy as np

from artifacts.bmodel import TensorInfo, read_bmodel
from artifacts.errors import BmodelError
from inference.bmcv.modelled import resize_bilinear, resize_nearest
from sophon.kinds import (  # type: ignore[import-not-found]
    Dtype,
    Format,
    ImgDtype,
    IOMode,
    PaddingAtrr,
    SailBMImageError,
    SailDeviceError,
    SailEngineError,
    SailTensorError,
    bmcv_resize_algorithm,
)

__version__ = "master(20260101_000000)"

targets: List[str] = ["BM1684X"]
"""What `Handle.get_target` says of each device; a test changes it."""

compute: Optional[Callable[[np.ndarray], np.ndarray]] = None
"""From the input as the model stores it to the output as the model stores it; None counts up from the input's sum."""

calls: List[Dict[str, np.ndarray]] = []
"""What the model was given, as stored, by each call of `process`."""

loaded: List[str] = []
"""The files that were loaded."""

decoded: List[int] = []
"""How many bytes each image had that `Bmcv.imdecode` was given."""

broken: Dict[str, BaseException] = {}
"""What a method of `Bmcv` raises, by its name."""

differs: Dict[str, Any] = {}
"""What an engine says instead of the truth: input_name, input_shape, input_dtype, input_scale, output_..., graphs."""


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
        self.on_device = np.zeros_like(self.stored)

    def sync_s2d(self) -> None:
        self.on_device[...] = self.stored

    def sync_d2d(self, src: Tensor, offset_src: int, offset_dst: int, len: int) -> None:
        if src.on_device.dtype != self.on_device.dtype:
            raise SailTensorError("mismatch Tensor")
        if offset_src + len > src.on_device.size or offset_dst + len > self.on_device.size:
            raise SailTensorError("size out of range")
        part = src.on_device.reshape(-1)[offset_src : offset_src + len]
        self.on_device.reshape(-1)[offset_dst : offset_dst + len] = part

    def shape(self) -> List[int]:
        return list(self.stored.shape)

    def update_data(self, data: np.ndarray) -> None:
        if data.shape != self.stored.shape:
            raise SailTensorError("invalid argument")
        if data.dtype != self.stored.dtype:
            raise SailTensorError("Wrong dtype of input array!")
        self.stored[...] = data

    def asnumpy(self) -> np.ndarray:
        return (self.stored if self.whole else self.on_device).copy()


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
        if self._mode is IOMode.SYSIO:
            given.sync_s2d()
        calls.append({name: given.on_device.copy()})
        values = np.asarray((compute or self._count)(given.on_device.copy()))
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


class BMImage:
    def __init__(self, handle: Handle, h: int, w: int, format: Format, dtype: ImgDtype) -> None:
        self._format, self._dtype = format, dtype
        kind = {"FLOAT32": np.float32, "1N_BYTE": np.uint8, "1N_BYTE_SIGNED": np.int8}[dtype.name[14:]]
        self.values = np.zeros((3, h, w) if "PLANAR" in format.name else (h, w, 3), kind)

    def width(self) -> int:
        return self.values.shape[2 if "PLANAR" in self._format.name else 1]

    def height(self) -> int:
        return self.values.shape[1 if "PLANAR" in self._format.name else 0]

    def format(self) -> Format:
        return self._format

    def asmat(self) -> np.ndarray:
        packed = self.values.transpose(1, 2, 0) if "PLANAR" in self._format.name else self.values
        return np.ascontiguousarray(packed if "BGR" in self._format.name else packed[:, :, ::-1])


class Bmcv:
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def get_bm_image_data_format(self, dtype: Dtype) -> ImgDtype:
        names = {"FLOAT32": "FLOAT32", "UINT8": "1N_BYTE", "INT8": "1N_BYTE_SIGNED"}
        return ImgDtype[f"DATA_TYPE_EXT_{names[dtype.name[3:]]}"]

    def mat_to_bm_image(self, mat: np.ndarray) -> BMImage:
        self._may("mat_to_bm_image")
        if mat.dtype != np.uint8 or mat.ndim != 3 or mat.shape[2] != 3 or not mat.size:
            raise TypeError("mat_to_bm_image(): incompatible function arguments")
        return self._image(mat, Format.FORMAT_BGR_PACKED)

    def imdecode(self, data_bytes: bytes) -> BMImage:
        self._may("imdecode")
        pixels = cv2.imdecode(np.frombuffer(data_bytes, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None:
            raise SailBMImageError("Bmcv imdecode() failed!")
        decoded.append(len(data_bytes))
        return self._image(pixels, Format.FORMAT_BGR_PACKED)

    def vpp_resize_padding(
        self,
        input: BMImage,
        resize_w: int,
        resize_h: int,
        padding_in: PaddingAtrr,
        resize_alg: bmcv_resize_algorithm = bmcv_resize_algorithm.BMCV_INTER_NEAREST,
    ) -> BMImage:
        self._may("vpp_resize_padding")
        left, top, width, height = padding_in.at
        if max(left, top, resize_w - left - width, resize_h - top - height) > 255 or min(width, height) < 8:
            raise SailBMImageError("bmcv api fail")
        linear = resize_alg is bmcv_resize_algorithm.BMCV_INTER_LINEAR
        placed = np.empty((resize_h, resize_w, 3), np.uint8)
        placed[...] = padding_in.bgr
        resize = resize_bilinear if linear else resize_nearest
        placed[top : top + height, left : left + width] = resize(input.asmat(), width, height)
        kept = Format.FORMAT_RGB_PLANAR
        return self._image(placed, kept if input.format() is kept else Format.FORMAT_BGR_PLANAR)

    def convert_format(self, input: BMImage, image_format: Format = Format.FORMAT_BGR_PLANAR) -> BMImage:
        self._may("convert_format")
        return self._image(input.asmat(), image_format)

    def convert_to(self, input: BMImage, output: BMImage, alpha_beta: Any) -> int:
        self._may("convert_to")
        (_, _), (_, _), (_, _) = alpha_beta
        if input.format() is output.format() and input.values.shape == output.values.shape:
            factors = np.array(alpha_beta, np.float32)
            made = input.values * factors[:, :1, None] + factors[:, 1:, None]
            if output.values.dtype != np.float32:
                limits = np.iinfo(output.values.dtype)
                made = np.clip(np.sign(made) * np.floor(np.abs(made) + np.float32(0.5)), limits.min, limits.max)
            output.values[...] = made
        return 0

    def bm_image_to_tensor(self, image: BMImage) -> Tensor:
        self._may("bm_image_to_tensor")
        names = {"float32": "FLOAT32", "uint8": "UINT8", "int8": "INT8"}
        shape = [1, *image.values.shape]
        tensor = Tensor(self._handle, shape, Dtype[f"BM_{names[image.values.dtype.name]}"])
        tensor.on_device = image.values.reshape(shape)
        return tensor

    def _image(self, packed: np.ndarray, format: Format) -> BMImage:
        image = BMImage(self._handle, *packed.shape[:2], format, ImgDtype.DATA_TYPE_EXT_1N_BYTE)
        pixels = packed if "BGR" in format.name else packed[:, :, ::-1]
        image.values[...] = pixels.transpose(2, 0, 1) if "PLANAR" in format.name else pixels
        return image

    def _may(self, name: str) -> None:
        if name in broken:
            raise broken[name]
