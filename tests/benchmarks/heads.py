"""Head tensors and a network of known latency for the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from artifacts.bmodel import TensorInfo
from artifacts.release import PreprocessSpec
from inference.engines.base import EngineInfo
from inference.preprocess import preprocess_batch

SAMPLE_WEIGHTS = Path(__file__).resolve().parents[2] / "tasks" / "sample" / "weights.pth"


def of_photographs(images: Sequence[np.ndarray]) -> np.ndarray:
    """What the sample's trained network (a quarter of the width) says of these images: float32 [N, 84, 128, 128]."""
    import torch

    from tasks.network import build_network

    network = build_network("dlav0_34", width=0.25).eval()
    network.load_state_dict(torch.load(SAMPLE_WEIGHTS, map_location="cpu", weights_only=True)["state_dict"])
    with torch.no_grad():
        batches = [network(torch.from_numpy(preprocess_batch([image], PreprocessSpec()))) for image in images]
    return np.concatenate([np.asarray(batch) for batch in batches])


def crowded(count: int, objects: int = 12) -> np.ndarray:
    """Objects as blobs of many sizes among weak noise: float32 [count, 84, 128, 128]."""
    random = np.random.default_rng(0)
    heads = random.normal(-6, 0.7, (count, 84, 128, 128)).astype(np.float32)
    rows, columns = np.ogrid[:128, :128]
    for image in heads:
        for _ in range(objects):
            row, column, spread = random.integers(2, 126), random.integers(2, 126), random.uniform(1, 6)
            blob = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * spread**2))
            plane = image[random.integers(80)]
            np.maximum(plane, (-6 + random.uniform(6, 9) * blob).astype(np.float32), out=plane)
    heads[:, 80:82] = random.uniform(1, 60, (count, 2, 128, 128))
    heads[:, 82:] = random.uniform(0, 1, (count, 2, 128, 128))
    return heads


class SleepingEngine:
    """Takes as long as a chip would, and no processor time; finds a dozen objects in every image."""

    def __init__(self, batch: int, seconds: float) -> None:
        given = TensorInfo(name="data", dtype="float32", shape=(batch, 3, 512, 512))
        made = TensorInfo(name="heads", dtype="float32", shape=(batch, 84, 128, 128))
        self.info = EngineInfo("sleeping", "BM1684X", given, "float32", made)
        self.seconds = seconds
        self._heads = crowded(batch)

    def run(self, batch: np.ndarray) -> np.ndarray:
        time.sleep(self.seconds)
        return self._heads[: len(batch)]

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> SleepingEngine:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()
