"""The vendor's BMCV by way of sail: decoding, scaling with padding, and arithmetic on the device.

The interface is that of sophgo/sophon-sail, docs/source_en/module_python: sail.Bmcv.rst, sail.BMImage.rst,
sail.PaddingAtrr.rst, sail.Tensor.rst. What these pages leave open is in its sources (release 3.10.7: src/bind.cpp,
src/cvwrapper.cpp), and is why things are done as they are:

- Scaling takes the nearest pixel unless told otherwise.
- A scaled image has planes in the order B, G, R, whatever it was before, but for planes of R, G, B.
- `convert_to` says 0 even where it failed, and `bm_image_to_tensor` gives an empty tensor where rows have gaps. The
  latter is found; of the former only the vendor's library prints something. `doctor --compare` looks at the outcome.
- A tensor that is made of an image lies in the image's memory and does not keep it.

All calls are made in one thread, watched as those of the engine are: nothing says that a handle may be used by several.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, NamedTuple, Optional, Tuple, TypeVar

import numpy as np

from artifacts.bmodel import TensorInfo
from artifacts.release import PreprocessSpec
from inference.bmcv.geometry import place, scales_and_biases
from inference.engines.sail import ANSWER_S, Row, in_time
from inference.engines.sophon_sdk import find_sail
from inference.engines.watched import Watched
from inference.errors import EngineError
from inference.feeding import Picture
from inference.preprocess import check_image

T = TypeVar("T")


class NotDecoded(Exception):
    """The device's decoder does not take an image, which says nothing of the image: the host is asked next."""


class _Opened(NamedTuple):
    """What sail holds: the handle, BMCV, and format and type of the prepared image."""

    handle: Any
    bmcv: Any
    planes: Any
    dtype: Any


class DeviceImage:
    """An image on the device, as sail holds it.

    Attributes:
        image: ``sail.BMImage``.
        shape: (height, width, 3).
    """

    def __init__(self, bmcv: Bmcv, image: Any) -> None:
        self._bmcv = bmcv
        self.image = image
        self.shape: Tuple[int, ...] = (int(image.height()), int(image.width()), 3)

    def pixels(self) -> np.ndarray:
        """Bring it over.

        Returns:
            uint8 [H, W, 3], BGR.

        Raises:
            EngineError: The device failed.
        """
        return self._bmcv.download(self.image)


class Bmcv:
    """BMCV on one device, for the inputs of one model."""

    def __init__(self, device: int, spec: PreprocessSpec, given: TensorInfo) -> None:
        """Open it.

        Args:
            device: Which TPU.
            spec: What the model expects.
            given: The model's input, as it is stored.

        Raises:
            EngineNotFound: There is no sail.
            EngineError: The device does not answer, or its sail has no BMCV.
        """
        self._sail = find_sail()
        self._device = device
        self._spec = spec
        self._turn = threading.Lock()
        self._watched = Watched(f"centernet-bmcv-{device}")
        factor = given.scale if given.dtype != "float32" and not spec.fused else 1.0
        self._factors = tuple((scale * factor, bias * factor) for scale, bias in scales_and_biases(spec))
        self._closed = False
        self._opened: Optional[_Opened] = None
        try:
            self._opened = self._call(lambda: self._open(given), "be opened")
        except BaseException:
            self._watched.close()
            raise

    def decode(self, data: bytes, size: Tuple[int, int]) -> DeviceImage:
        """Decode a JPEG file's bytes, which were checked.

        Args:
            data: The bytes.
            size: (height, width) by its header.

        Raises:
            NotDecoded: The device's decoder refuses it, or what comes out has another size.
            EngineError: The device does not answer, or was closed.
        """

        def decoded() -> DeviceImage:
            bmcv = self._held().bmcv
            try:
                return DeviceImage(self, bmcv.imdecode(data))
            except Exception as error:
                raise NotDecoded(f"{error}") from error

        image = self._call(decoded, "decode an image")
        if image.shape[:2] != size:
            raise NotDecoded(f"it makes {image.shape[1]} x {image.shape[0]} pixels of {size[1]} x {size[0]}")
        return image

    def prepare(self, picture: Picture) -> Row:
        """Make the model's input of an image.

        Args:
            picture: uint8 [H, W, 3] in BGR order, or an image on the device, of a size that the chip takes.

        Raises:
            ImageError: It is no such array.
            EngineError: The device failed.
        """
        if isinstance(picture, np.ndarray):
            check_image(picture)
        return self._call(lambda: self._prepared(picture), "prepare an image")

    def download(self, image: Any) -> np.ndarray:
        """Bring a ``sail.BMImage`` over: uint8 [H, W, 3], BGR.

        Raises:
            EngineError: The device failed.
        """
        return np.asarray(self._call(image.asmat, "give an image back"))

    def values(self, row: Row) -> np.ndarray:
        """Bring a prepared image over, as it is stored: [1, 3, H, W].

        Raises:
            EngineError: The device failed.
        """

        def brought() -> Any:
            # Of the row, not of its tensor: a call that hangs keeps the memory too.
            return row.tensor.asnumpy()

        return np.asarray(self._call(brought, "give a tensor back"))

    def close(self) -> None:
        """Let go of the device. May be called twice."""
        self._closed = True
        # sail has no call for this; the handle is not to outlive the engine's. A call that hangs keeps what it uses.
        self._opened = None
        self._watched.close()

    def _open(self, given: TensorInfo) -> _Opened:
        sail = self._sail
        handle = sail.Handle(self._device)
        bmcv = sail.Bmcv(handle)
        planes = getattr(sail.Format, f"FORMAT_{self._spec.channel_order}_PLANAR")
        dtype = bmcv.get_bm_image_data_format(getattr(sail.Dtype, f"BM_{given.dtype.upper()}"))
        return _Opened(handle, bmcv, planes, dtype)

    def _held(self) -> _Opened:
        opened = self._opened
        if opened is None:
            raise EngineError("the model was closed; load it again")
        return opened

    def _prepared(self, picture: Picture) -> Row:
        handle, bmcv, planes, dtype = self._held()
        spec, sail = self._spec, self._sail
        image = picture.image if isinstance(picture, DeviceImage) else bmcv.mat_to_bm_image(_contiguous(picture))
        left, top, width, height = place((picture.shape[0], picture.shape[1]), spec)
        around = sail.PaddingAtrr(left, top, width, height, 0, 0, 0)
        linear = sail.bmcv_resize_algorithm.BMCV_INTER_LINEAR
        placed = bmcv.vpp_resize_padding(image, spec.width, spec.height, around, linear)
        if placed.format() != planes:
            placed = bmcv.convert_format(placed, planes)
        made = sail.BMImage(handle, spec.height, spec.width, planes, dtype)
        status = bmcv.convert_to(placed, made, self._factors)
        tensor = bmcv.bm_image_to_tensor(made)
        wanted = [1, 3, spec.height, spec.width]
        if status != 0 or list(tensor.shape()) != wanted:
            raise EngineError(f"the prepared image is {list(tensor.shape())}, not {wanted}, with status {status}")
        return Row(tensor, made)

    def _call(self, work: Callable[[], T], what: str) -> T:
        def told() -> T:
            try:
                return work()
            except NotDecoded:
                raise
            except Exception as error:
                raise EngineError(
                    f"BMCV of device {self._device} cannot {what}: {error}. dmesg may say more. It needs a sail of "
                    "3.10 or newer that was built with BMCV; --preprocess host goes without it"
                ) from error

        with self._turn:
            # Its thread would never come to it.
            if self._closed:
                raise EngineError("the model was closed; load it again")
            return in_time(self._watched, told, ANSWER_S, self._device)


def _contiguous(picture: Picture) -> np.ndarray:
    return np.ascontiguousarray(picture)
