"""Compiler options that lower the estimated latency and change no bit of what the bmodel gives."""

from __future__ import annotations

from artifacts.release import Variant

_COMPRESSED = ("--compress_mode", "all")
_SEARCHED = ("--shape_secs_search_strategy", "2")


def tuned(variant: Variant) -> tuple[str, ...]:
    """Choose the options for one variant, by what was measured.

    Measured with tpu-mlir 1.30.2 on the full network at 512 x 512, int8 with the float tail: milliseconds for a batch
    by the compiler's estimate without and with the options, in brackets the seconds of the compile. In the simulator
    the outputs of all these are equal bit by bit (for BM1688 because of `float_weights`).

    Compression is exact for int8. Of float16 it loses what is below 2^-14, of activations too, where the compiler
    stores one of the tail between two groups of layers: with the longer search on one core, which is not used here,
    cells of size and offset below 0.00006 became zero. More than that it cannot be.

    - BM1688, one core: weights and activations travel compressed, 13.06 -> 11.65, for nothing. The longer search on top
      of it makes it slower again (12.06).
    - BM1688, two cores: compressed and with the longer search 9.01 -> 7.09 (2 -> 3).
    - BM1688, more images than one: nothing. Compression would give 48.30 -> 45.63 and 25.74 -> 24.04 for a batch of 4,
      and there the full network comes out right; but of the sample's network (quarter width, 256 x 256) the compiler
      makes a bmodel that is wrong from the first image on, and exits 0. Weights alone may be compressed
      (`--compress_mode weight`), which gains nothing there.
    - BM1684X, batch 1: the longer search, 3.391 -> 3.360 (4 -> 6). At batch 4 it gains 0.2 % (4 -> 63). The chip takes
      nothing compressed: the compiler ignores that option.
    - BM1684: the longer search gains 0.01 %, and nothing at batch 4.

    Only int8: in fp16 subnormal weights would be lost throughout the network, not just where `float_weights` looks.
    `--opt 3` miscompiles; what changes the types of input and output makes another variant, not a faster one.

    Args:
        variant: What is compiled.

    Returns:
        Arguments of `model_deploy`. They belong to the cache key of the compile, so that a change here needs no new
        version of that step.
    """
    if variant.precision != "int8":
        return ()
    if variant.chip == "BM1688" and variant.batch == 1:
        return _COMPRESSED + (_SEARCHED if variant.cores > 1 else ())
    if variant.chip == "BM1684X" and variant.batch == 1:
        return _SEARCHED
    return ()
