"""The Python sample of sophgo/sophon-demo, imported from the user's checkout without a device."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

MODULES = ("utils", "postprocess_numpy", "centernet_opencv")


class VendorSample(NamedTuple):
    """The two halves of its host work.

    Attributes:
        network: Its class ``CenterNet`` without an engine; has ``preprocess``.
        postprocess: Its ``PostProcess``.
    """

    network: Any
    postprocess: Any

    def detections(self, heads: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Of one image [84, h, w] of (height, width): float [M, 6], left, top, right, bottom, score, class."""
        return np.asarray(self.postprocess(heads[None], [size[::-1]], [0], [(0, 0)])[0])


def load(sample: Path) -> VendorSample:
    """Import it.

    Args:
        sample: Its folder ``sample/CenterNet``.
    """
    sail = ModuleType("sophon.sail")
    package = ModuleType("sophon")
    package.sail = sail  # type: ignore[attr-defined]
    before = dict(sys.modules)
    sys.modules.update({"sophon": package, "sophon.sail": sail})
    sys.path.insert(0, str(sample / "python"))
    handlers, level = list(logging.root.handlers), logging.root.level
    try:
        module = importlib.import_module("centernet_opencv")
        postprocess = importlib.import_module("postprocess_numpy")
    finally:
        sys.path.remove(str(sample / "python"))
        for name in (*MODULES, "sophon", "sophon.sail"):
            sys.modules.pop(name, None)
            if name in before:
                sys.modules[name] = before[name]
        logging.root.handlers[:] = handlers  # it configures logging while it is imported
        logging.root.setLevel(level)
    network = module.CenterNet.__new__(module.CenterNet)  # its __init__ opens the device
    network.mean = np.array([0.408, 0.447, 0.470], dtype=np.float32)
    network.std = np.array([0.289, 0.274, 0.278], dtype=np.float32)
    return VendorSample(network, postprocess.PostProcess(conf_thresh=0.35))
