"""Compiler options that lower the estimated latency and change no bit of what the bmodel gives."""

from __future__ import annotations

from artifacts.release import Variant

_COMPRESSED = ("--compress_mode", "all")


def tuned(variant: Variant) -> tuple[str, ...]:
    """Choose the options for one variant, by what was measured.

    Only where the settings ask for it (`toolchain.tuned`): what is right for one network is wrong for another. Measured
    with tpu-mlir 1.30.2; milliseconds for a batch by the compiler's estimate without and with the options, of the full
    network at 512 x 512 in int8 with the float tail.

    - BM1688, one image: weights and activations travel compressed, on one core 13.06 -> 11.65, on two 9.01 -> 8.28, for
      nothing. In the simulator the outputs are equal bit by bit (because of `float_weights`), of the full network and
      of the sample's. Of a network of a sixteenth of the width the compiler makes a bmodel that is wrong, and exits 0:
      the gate stops it.
    - BM1688, more images: nothing. Compression would give 48.30 -> 45.63 for a batch of 4, and there the full network
      comes out right, but the sample's (quarter width, 256 x 256) wrong from the first image on. Weights alone may be
      compressed (`--compress_mode weight`), which gains nothing there.
    - The longer search (`--shape_secs_search_strategy 2`) would give 8.28 -> 7.09 on two cores of the BM1688, and
      3.391 -> 3.360 on the BM1684X. It is not used: on two cores 2 of some 40 compiles of the same input came out with
      other commands (equal estimate, equal output), so that a rebuild would not give the same release. On one core of
      the BM1688 it takes back what compression gains (12.06), and for a batch of 4 it takes a minute on BM1684X.
    - BM1684 gains nothing by it, and BM1684X takes nothing compressed: the compiler ignores that option.

    Only int8: in fp16 subnormal weights would be lost throughout the network, not just where `float_weights` looks.
    `--opt 3` miscompiles; what changes the types of input and output makes another variant, not a faster one.

    Args:
        variant: What is compiled.

    Returns:
        Arguments of `model_deploy`. They belong to the cache key of the compile, so that a change here needs no new
        version of that step.
    """
    compressed = variant.chip == "BM1688" and variant.precision == "int8" and variant.batch == 1
    return _COMPRESSED if compressed else ()
