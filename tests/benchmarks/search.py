"""The compiler's own searches for layers that should stay in float, told to look at the heads or not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from artifacts.store import Blob
from inference.images import read_image
from inference.preprocess import preprocess
from tasks.quantize import image_list
from tasks.records import StoredImage
from tasks.toolchain import command
from tasks.toolchain.command import Command, Expected
from tasks.toolchain.drive import driven
from tests.benchmarks.subject import DRIVING, SPEC
from tests.benchmarks.tails import Tails, Way, int8

CHIP = "BM1684X"
_FOUND = "found.qtable"
_GIVEN = "given.qtable"
# It draws a graph with Graphviz at its end and fails, found table and all, where there is none.
_NO_DRAWING = b"""import os
with open("dot", "w") as script:
    script.write("#!/bin/sh\\n")
os.chmod("dot", 0o755)
os.environ["PATH"] = os.getcwd() + os.pathsep + os.environ["PATH"]
"""


class Search(NamedTuple):
    """How a search is run.

    Attributes:
        name: What to call it.
        tool: `search_qtable` or `fast_search`.
        way: What it starts from; its layers are in float from the beginning.
        heads: Whether it compares the last convolution of each head instead of the outputs.
    """

    name: str
    tool: str
    way: Way
    heads: bool = False


class Found(NamedTuple):
    """What a search found.

    Attributes:
        table: Its quantize table.
        layers: What that keeps in float.
        seconds: Wall time.
    """

    table: str
    layers: tuple[str, ...]
    seconds: float


def search(tails: Tails, one: Search, images: tuple[StoredImage, ...], *, expected: float, layers: int) -> Found:
    """Run one.

    Args:
        tails: The network.
        one: Which.
        images: What it judges by.
        expected: The cosine at which it is content.
        layers: The most that it first keeps in float.
    """
    content = tails.workspace.content
    inputs = tails.inputs(one.way, CHIP)
    given = inputs.pop(command.QUANTIZE_TABLE, None)
    if given is not None:
        inputs[_GIVEN] = given
    inputs["sitecustomize.py"] = _NO_DRAWING
    planned = _planned(one, tails.heads, len(images), expected, layers, given is not None)
    with content.scratch("search-samples") as folder:
        paths = []
        for index, image in enumerate(images):
            paths.append(folder / f"{index:05d}.npz")
            tensor = preprocess(read_image(content.verified(image.blob)), SPEC)[np.newaxis]
            np.savez(paths[-1], **{tails.one.input_name: tensor})  # type: ignore[arg-type]
        listed: dict[str, Blob | bytes] = {**inputs, command.IMAGE_LIST: image_list(paths)}
        with driven(planned, tails.toolchain, tails.workspace, listed, omp_threads=DRIVING.omp_threads) as ran:
            lines = (ran.folder / _FOUND).read_text().splitlines()
            rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
            if not rows and isinstance(given, bytes):
                # Content from the beginning, it leaves an empty table in place of the given one.
                rows = [line.split() for line in given.decode().splitlines()]
            table = "".join(f"{name} {mode}\n" for name, mode in rows)
            return Found(table, tuple(name for name, _ in rows), ran.evidence.seconds)


def _planned(one: Search, heads: tuple[str, ...], images: int, expected: float, layers: int, given: bool) -> Command:
    arguments = [
        command.TOP_MLIR,
        *("--data_list", command.IMAGE_LIST),
        *("--input_num", str(images)),
        *("--inference_num", str(images)),
        *("--search", one.tool),
        *("--expected_cos", str(expected)),
        *("--max_float_layers", str(layers)),
        *("--chip", int8(CHIP).chip.lower()),
        # It is there already, so that no other one is made: all searches work with the thresholds of a build.
        *("-o", command.TABLE),
        *("--quantize_table", _FOUND),
    ]
    if one.heads:
        arguments += ["--global_compare_layers", ",".join(heads)]
    if given:
        arguments += ["--pre_qtable", _GIVEN]
    return Command(
        name=f"{one.tool} {'three' if one.way.apart else 'one'}",
        tool="run_calibration",
        arguments=tuple(arguments),
        expects=(Expected(pattern=_FOUND),),
        timeout_s=DRIVING.timeouts.calibrate,
        variables=(("PYTHONPATH", "."),),
    )
