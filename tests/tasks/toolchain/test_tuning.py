"""Options that make a bmodel faster are given where they were measured to, and never those that change its numbers."""

from __future__ import annotations

import pytest

from artifacts.release import Variant
from tasks.toolchain.tuning import tuned

COMPRESSED = ("--compress_mode", "all")


@pytest.mark.parametrize(
    ("chip", "batch", "cores", "options"),
    [
        ("BM1684", 1, 1, ()),
        ("BM1684", 4, 1, ()),
        ("BM1684X", 1, 1, ()),
        ("BM1684X", 4, 1, ()),
        ("BM1688", 1, 1, COMPRESSED),
        ("BM1688", 1, 2, COMPRESSED),
        ("BM1688", 4, 1, ()),  # compressed, it comes out wrong
        ("BM1688", 4, 2, ()),
    ],
)
def test_a_variant_gets_what_was_measured_to_help_it(
    chip: str, batch: int, cores: int, options: tuple[str, ...]
) -> None:
    variant = Variant.model_validate({"chip": chip, "precision": "int8", "batch": batch, "cores": cores})
    assert tuned(variant) == options


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_what_is_float_throughout_is_compiled_as_the_compiler_does_by_itself(precision: str) -> None:
    assert tuned(Variant.model_validate({"chip": "BM1688", "precision": precision, "batch": 1})) == ()
