"""Outputs in every type that a chip stores, as real numbers."""

from __future__ import annotations

import numpy as np
import pytest

from inference.engines.stored import real_numbers
from inference.engines.worker_main import _real
from inference.errors import ModelError

EVERY_FLOAT16 = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(1, 4, 128, 128)


class RuntimeTensor:
    """An output as the compiler's runtime describes it; its buffer is longer than the tensor."""

    def __init__(self, stored: np.ndarray, dtype: str, qscale: float = 1.0, qzero_point: int = 0) -> None:
        self.data = np.concatenate([stored.reshape(-1), stored.reshape(-1)[:3]])
        self.dtype, self.qscale, self.qzero_point = dtype, qscale, qzero_point


def test_every_float16_keeps_its_value_and_its_sign() -> None:
    found = real_numbers(EVERY_FLOAT16)
    assert found.dtype == np.float32 and found.shape == EVERY_FLOAT16.shape
    expected = EVERY_FLOAT16.astype(np.float32)
    np.testing.assert_array_equal(found, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


def test_float16_with_gaps_in_memory_is_read_right() -> None:
    np.testing.assert_array_equal(real_numbers(EVERY_FLOAT16[:, :, :, ::2]), EVERY_FLOAT16[:, :, :, ::2])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
def test_integers_are_multiplied_by_the_scale(dtype: type) -> None:
    limits = np.iinfo(dtype)
    stored = np.array([[limits.min, 0, 1, 100, limits.max]], dtype)
    found = real_numbers(stored, 0.1)
    np.testing.assert_array_equal(found, stored.astype(np.float32) * np.float32(0.1))
    assert found.dtype == np.float32


def test_float32_is_not_copied() -> None:
    stored = np.zeros((1, 2, 3, 4), np.float32)
    assert real_numbers(stored, 7.0) is stored


@pytest.mark.parametrize("dtype", [np.float64, np.uint16, np.bool_])
def test_a_type_that_nobody_expects_is_refused(dtype: type) -> None:
    with pytest.raises(ModelError, match="expected float32, float16"):
        real_numbers(np.zeros((1, 2), dtype))


def test_the_simulators_worker_reads_float16_exactly() -> None:
    tensor = RuntimeTensor(EVERY_FLOAT16, "f16")
    np.testing.assert_array_equal(_real(tensor, list(EVERY_FLOAT16.shape)), real_numbers(EVERY_FLOAT16))


def test_the_simulators_worker_scales_integers_by_the_models_own_scale() -> None:
    stored = np.arange(-128, 128, dtype=np.int8).reshape(1, 4, 8, 8)
    found = _real(RuntimeTensor(stored, "i8", qscale=0.25), [1, 4, 8, 8])
    np.testing.assert_array_equal(found, real_numbers(stored, 0.25))
    shifted = _real(RuntimeTensor(stored, "i8", qscale=0.25, qzero_point=3), [1, 4, 8, 8])
    np.testing.assert_array_equal(shifted, (stored.astype(np.float32) - 3) * np.float32(0.25))
