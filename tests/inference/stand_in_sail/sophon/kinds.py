"""Errors and enumerations of the stand-in for ``sophon.sail``, where its users find them too."""

from __future__ import annotations

import enum


class SailDeviceError(Exception):
    pass


class SailEngineError(Exception):
    pass


class SailTensorError(Exception):
    pass


class SailBMImageError(Exception):
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


class Format(enum.Enum):
    FORMAT_RGB_PLANAR = 8
    FORMAT_BGR_PLANAR = 9
    FORMAT_RGB_PACKED = 10
    FORMAT_BGR_PACKED = 11


class ImgDtype(enum.Enum):
    DATA_TYPE_EXT_FLOAT32 = 0
    DATA_TYPE_EXT_1N_BYTE = 1
    DATA_TYPE_EXT_1N_BYTE_SIGNED = 3


class bmcv_resize_algorithm(enum.Enum):  # sail's name
    BMCV_INTER_NEAREST = 0
    BMCV_INTER_LINEAR = 1
    BMCV_INTER_BICUBIC = 2


class IOMode(enum.Enum):
    SYSI = 0
    SYSO = 1
    SYSIO = 2
    DEVIO = 3


class PaddingAtrr:
    def __init__(self, stx: int, sty: int, width: int, height: int, r: int, g: int, b: int) -> None:
        if min(stx, sty, width, height, r, g, b) < 0:
            raise TypeError("__init__(): incompatible constructor arguments")
        self.at = (stx, sty, width, height)
        self.bgr = (b, g, r)
