"""CenterNet on SOPHON devices: preprocessing, engines, decoding, and the detector that joins them.

Device side: Python 3.8 or newer with numpy, OpenCV, requests and pydantic; imports `artifacts` only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.decode import Detections
    from inference.detector import Detector

__all__ = ["Detections", "Detector"]


_HOMES = {"Detections": "inference.decode", "Detector": "inference.detector"}


def __getattr__(name: str) -> Any:
    # Loaded on first use: ``python -m inference --help`` has no need of OpenCV.
    if name not in _HOMES:
        raise AttributeError(f"module 'inference' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
