"""The arithmetic of preprocessing, written into the compiler's top-level MLIR for bmodels that take raw pixels."""

from __future__ import annotations

import re

from artifacts.release import PreprocessSpec
from tasks.errors import GraphError

_INPUT = re.compile(r'^[^\n]* = "top\.Input"\([^)]*\) \{(?P<attributes>[^\n}]*)\}[^\n]*$', re.M)


def with_preprocessing(text: str, spec: PreprocessSpec) -> str:
    """Write scale, mean and channel order of a preprocess spec into the module's input.

    `model_transform` takes them as `--mean`, `--scale` and `--pixel_format` and does nothing else with them: the rest
    of the module, its weights and its layer names stay the same, and with them the calibration table. So there is no
    second import, and raw and plain bmodels are certainly of one network.

    Args:
        text: The module, as the compiler writes it without preprocessing.
        spec: How an image becomes the input tensor. The compiler computes (pixel - mean) * scale.

    Returns:
        The module's text. It has its effect only under `--fuse_preprocess`.

    Raises:
        GraphError: The module has not exactly one input with these attributes, or they already say something else.
        ValueError: The spec's channels are not in BGR order, the only one that a raw bmodel is compiled for.
    """
    if spec.channel_order != "BGR":
        raise ValueError(f"a raw bmodel takes pixels in BGR order, not in {spec.channel_order}")
    found = list(_INPUT.finditer(text))
    if len(found) != 1:
        raise GraphError(f"The compiler's MLIR has {len(found)} inputs in the known form; raw pixels need exactly one.")
    attributes = found[0]["attributes"]
    mean = [value / spec.scale for value in spec.mean]
    scale = [spec.scale / value for value in spec.std]
    for before, after in (
        ("mean = [0.000000e+00, 0.000000e+00, 0.000000e+00]", f"mean = [{_numbers(mean)}]"),
        ("scale = [1.000000e+00, 1.000000e+00, 1.000000e+00]", f"scale = [{_numbers(scale)}]"),
        *((kept, kept) for kept in ('pixel_format = "bgr"', 'channel_format = "nchw"', "do_preprocess = true")),
    ):
        if attributes.count(before) != 1:
            raise GraphError(
                f"The input of the compiler's MLIR does not say `{before}`, so that it cannot be made to take raw "
                "pixels. Correct tasks/toolchain/raw_input.py for this release, or leave `raw` out of the matrix."
            )
        attributes = attributes.replace(before, after)
    start, end = found[0].span("attributes")
    return text[:start] + attributes + text[end:]


def _numbers(values: list[float]) -> str:
    # 17 digits are the same double again.
    return ", ".join(f"{value:.16e}" for value in values)
