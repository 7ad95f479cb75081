"""The arithmetic of the preprocessing gets into the compiler's input, whole, or there is an error."""

from __future__ import annotations

import re

import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from tasks.errors import GraphError
from tasks.toolchain.graph import parse
from tasks.toolchain.raw_input import with_preprocessing
from tests.tasks.toolchain.fakes import DATA

NETWORK = (DATA / "three_heads.mlir").read_text()
SPEC = PreprocessSpec(width=64, height=64)


def values(name: str, text: str) -> list[float]:
    (found,) = re.findall(rf" {name} = \[([^]]*)\]", text)
    return [float(value) for value in found.split(",")]


def test_mean_and_scale_are_those_of_the_spec_on_the_scale_of_a_pixel() -> None:
    made = with_preprocessing(NETWORK, SPEC)
    mean, scale = values("mean", made), values("scale", made)
    assert mean == pytest.approx([0.408 * 255, 0.447 * 255, 0.470 * 255], rel=1e-15)
    assert scale == pytest.approx([1 / (255 * std) for std in (0.289, 0.274, 0.278)], rel=1e-15)
    pixels = np.arange(256)[:, None]
    expected = (pixels * SPEC.scale - np.array(SPEC.mean)) / np.array(SPEC.std)
    assert np.allclose((pixels - np.array(mean)) * np.array(scale), expected, atol=1e-12)


def test_nothing_else_of_the_network_changes() -> None:
    before, after = NETWORK.splitlines(), with_preprocessing(NETWORK, SPEC).splitlines()
    changed = [number for number, lines in enumerate(zip(before, after, strict=True)) if lines[0] != lines[1]]
    assert len(changed) == 1 and '"top.Input"' in before[changed[0]]
    assert parse("\n".join(after)) == parse(NETWORK)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("mean = [0.000000e+00,", "mean = [1.040400e+02,", "does not say `mean = "),
        ("scale = [1.000000e+00,", "scale = [2.000000e+00,", "does not say `scale = "),
        ('pixel_format = "bgr"', 'pixel_format = "rgb"', "does not say `pixel_format = "),
        ("do_preprocess = true", "do_preprocess = false", "does not say `do_preprocess = "),
        ('"top.Input"', '"top.Entry"', "has 0 inputs"),
        ('%1 = "top.Weight"() :', '%1 = "top.Input"() {} :', "has 2 inputs"),
    ],
)
def test_an_input_of_another_form_is_an_error(before: str, after: str, complaint: str) -> None:
    assert before in NETWORK
    with pytest.raises(GraphError, match=re.escape(complaint)):
        with_preprocessing(NETWORK.replace(before, after, 1), SPEC)


def test_what_was_done_is_not_done_twice() -> None:
    with pytest.raises(GraphError, match="does not say `mean"):
        with_preprocessing(with_preprocessing(NETWORK, SPEC), SPEC)


def test_another_order_of_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="in BGR order, not in RGB"):
        with_preprocessing(NETWORK, SPEC.model_copy(update={"channel_order": "RGB"}))
