"""Stands for the vendor's runtime over a simulator; reads what `compiler.py` wrote into the bmodel."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from pymlir import heads


class Model:
    def __init__(self, path: str, device: int, core: str) -> None:
        data = Path(path).read_bytes()
        start = data.index(b'{"stand-in"')
        said = json.loads(data[start : data.index(b"}", start) + 1])
        self._shapes, self._raw = said["stand-in"], said["raw"]
        self.networks = ["centernet"]

    def Net(self, name: str) -> SimpleNamespace:
        given, made = self._shapes
        dtype, kind = ("ui8", np.uint8) if self._raw else ("f32", np.float32)
        image = SimpleNamespace(name="image", dtype=dtype, data=np.zeros(given, kind), qscale=1.0, qzero_point=0)
        values = heads(made[0], made[1] - 4, made[2], made[3]).astype(np.float16 if self._raw else np.float32)
        output = SimpleNamespace(
            name="heads", dtype="f16" if self._raw else "f32", data=values, qscale=1.0, qzero_point=0
        )
        return SimpleNamespace(inputs=[image], outputs=[output], forward_dynamic=lambda shapes: [made])
