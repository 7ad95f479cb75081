"""What the simulator keeps in one kind of compile and drops in another is not there at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.errors import GraphError
from tasks.toolchain.float_weights import without_subnormals

NORMAL = 2.0**-14
WEIGHTS = np.array([[0.0, 1.5, -NORMAL, 0.9 * NORMAL], [-1e-6, 1e-9, 0.9999 * NORMAL, -70000.0]], np.float32)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    np.savez(tmp_path / "weights.npz", tail=WEIGHTS, trunk=WEIGHTS)
    return tmp_path / "weights.npz"


def read(data: bytes, path: Path) -> dict[str, np.ndarray]:
    path.write_bytes(data)
    with np.load(path) as loaded:
        return dict(loaded)


def test_only_what_float16_has_no_normal_number_for_becomes_zero(archive: Path, tmp_path: Path) -> None:
    found = read(without_subnormals(archive, ["tail"]), tmp_path / "made.npz")
    # 0.9999 of the smallest normal number is rounded up to it.
    kept = np.array([[0.0, 1.5, -NORMAL, 0.0], [0.0, 0.0, 0.9999 * NORMAL, -70000.0]], np.float32)
    assert np.array_equal(found["tail"], kept) and found["tail"].dtype == np.float32
    assert np.array_equal(found["trunk"], WEIGHTS)


def test_the_same_weights_give_the_same_bytes(archive: Path) -> None:
    assert without_subnormals(archive, ["tail"]) == without_subnormals(archive, ["tail"])


def test_an_array_that_is_not_there_is_an_error(archive: Path) -> None:
    with pytest.raises(GraphError, match="no array head"):
        without_subnormals(archive, ["tail", "head"])


def test_what_is_no_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "weights.npz").write_bytes(b"no archive")
    with pytest.raises(GraphError, match="no archive of arrays"):
        without_subnormals(tmp_path / "weights.npz", [])
