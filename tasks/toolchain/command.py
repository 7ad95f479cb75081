"""The compiler's commands as values: what would be run, on what, and what it should leave."""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from artifacts.release import Variant

NET_NAME = "centernet"
LOWERED = "*_tpu.mlir"
TOP_MLIR = f"{NET_NAME}.mlir"
TABLE = f"{NET_NAME}.cali"
STATISTICS = "sitecustomize.py"
QUANTIZE_TABLE = f"{NET_NAME}.qtable"
BMODEL = f"{NET_NAME}.bmodel"
IMAGE_LIST = "images.txt"
LAYER_GROUPS = "layer-groups"
MODULE = f"{NET_NAME}.pt"

# For BM1684 the compiler stores a word of memory that it never set. Where that happens to be 0 the field is left out
# and all that follows is shifted, so that the file cannot be made equal afterwards. glibc fills fresh memory when told
# to (mallopt(3), M_PERTURB): the word is then not 0. The chip's emulated memory is filled too, which takes 4.5 GB and
# ten to twenty seconds of a compile of five: only for a compile that came out wrong.
_FILLED_MEMORY = (("MALLOC_PERTURB_", "165"),)

# Planes as our own preprocessing lays them out; interleaved pixels cost the chip 1 to 2 % more. The output stays as the
# chip computes it, float16 behind a float tail: half the bytes of the float32 that it would be widened to.
_RAW = ("--fuse_preprocess", "--customization_format", "BGR_PLANAR", "--quant_output")

_MODES = {"fp32": "F32", "fp16": "F16", "int8": "INT8"}


class Outputs(StrEnum):
    """How many files a pattern may match once the command is done."""

    ONE = "exactly one"
    ANY = "any number"


class Expected(BaseModel):
    """One thing that a command must leave in its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: str
    count: Outputs = Outputs.ONE


class Command(BaseModel):
    """One command of the toolchain, complete before anything runs.

    File names are relative to the command's scratch folder, so that the same work has the same argv everywhere.

    Attributes:
        name: Short name for logs and messages.
        tool: Name of the program in the toolchain's environment.
        arguments: Its arguments, one value each.
        expects: What it must leave.
        timeout_s: Longest time that it may take, in seconds.
        variables: Environment variables that it needs beside those of every command.
        rounds: How many rounds it counts in its log while it works, 0 where it counts none.
        search: Name of the folder in which the layer groups that it finds are kept apart from those of commands that
            search otherwise; empty for the compiler's own way of searching.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    tool: str
    arguments: tuple[str, ...]
    expects: tuple[Expected, ...]
    timeout_s: float
    variables: tuple[tuple[str, str], ...] = ()
    rounds: int = 0
    search: str = ""

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line as it is kept in the evidence."""
        return (self.tool, *self.arguments)


def transform(shape: tuple[int, int, int, int], *, timeout_s: float) -> Command:
    """Plan the import of the TorchScript module as top-level MLIR.

    Args:
        shape: Input shape [N, C, H, W]. Four positive numbers: the tool evaluates this argument as Python.
        timeout_s: Longest time, in seconds.

    Returns:
        The command. It reads `centernet.pt` and leaves `centernet.mlir` beside its weights.

    Raises:
        ValueError: The shape is not four positive whole numbers.
    """
    if len(shape) != 4 or any(type(side) is not int or side < 1 for side in shape):
        raise ValueError(f"an input shape is four positive whole numbers [N, C, H, W], got {shape!r}")
    return Command(
        name=f"transform b{shape[0]}",
        tool="model_transform",
        arguments=(
            *("--model_name", NET_NAME),
            *("--model_def", MODULE),
            *("--input_shapes", str([list(shape)])),
            *("--mlir", TOP_MLIR),
        ),
        expects=(Expected(pattern=TOP_MLIR), Expected(pattern="*_top_*weight.npz")),
        timeout_s=timeout_s,
    )


def calibrate(images: int, method: str, *, timeout_s: float) -> Command:
    """Plan the calibration over an explicit list of tensors.

    The tuning pass is off: with KL it changed no threshold of the small network and took 95 s for the full one. A list
    instead of a folder, because a folder is shuffled and capped without a word.

    Args:
        images: How many samples the list names; the tool must use that many.
        method: The tool's name of the calibration method.
        timeout_s: Longest time, in seconds.

    Returns:
        The command. It reads `centernet.mlir` and `images.txt` and leaves `centernet.cali`; beside them lies
        `tasks.toolchain.faster_statistics` under the name of STATISTICS.

    Raises:
        ValueError: There are no images; the tool takes 0 as "all that the list has".
    """
    if images < 1:
        raise ValueError(f"a calibration needs at least one image, got {images}")
    return Command(
        name=f"calibrate {method} {images}",
        tool="run_calibration",
        arguments=(
            TOP_MLIR,
            *("--data_list", IMAGE_LIST),
            *("--input_num", str(images)),
            *("--tune_num", "0"),
            *("--cali_method", method),
            *("-o", TABLE),
        ),
        expects=(Expected(pattern=TABLE),),
        timeout_s=timeout_s,
        # Where Python finds STATISTICS.
        variables=(("PYTHONPATH", "."),),
        rounds=images,
    )


def lower(variant: Variant, *, quantize_table: bool, timeout_s: float) -> Command:
    """Plan the lowering to the chip's dialect, which the interpreter runs.

    A command apart from `deploy`, because that one deletes the lowered weights when it is done.

    Args:
        variant: What to lower for.
        quantize_table: Whether `centernet.qtable` is given; only with int8.
        timeout_s: Longest time, in seconds.

    Returns:
        The command. It leaves one `*_tpu.mlir` and the weights that it names.

    Raises:
        ValueError: A quantize table for a variant in float.
    """
    return Command(
        name=f"lower {variant.chip} {variant.precision} b{variant.batch}",
        tool="model_deploy",
        arguments=(*_deploy_arguments(variant, quantize_table), "--not_gen_bmodel"),
        expects=(Expected(pattern=LOWERED), Expected(pattern="*_tpu*weights.npz")),
        timeout_s=timeout_s,
    )


def deploy(
    variant: Variant,
    *,
    quantize_table: bool,
    timeout_s: float,
    options: tuple[str, ...] = (),
    filled_memory: bool = False,
) -> Command:
    """Plan the compile of one bmodel.

    `--opt` is never given: level 3 miscompiles, exits 0 and passes its own check having compared nothing.

    Args:
        variant: What to compile for.
        quantize_table: Whether `centernet.qtable` is given; only with int8.
        timeout_s: Longest time, in seconds.
        options: How its layers are grouped and stored, without an effect on the numbers (`tasks.toolchain.tuning`).
        filled_memory: Whether fresh memory is not 0, for BM1684 after a compile that `artifacts.bmodel.normalised`
            cannot make equal to another.

    Returns:
        The command. It leaves `centernet.bmodel` and one profile a core.

    Raises:
        ValueError: A quantize table for a variant in float.
    """
    return Command(
        name=f"deploy {variant.path}",
        tool="model_deploy",
        arguments=(
            *_deploy_arguments(variant, quantize_table),
            *options,
            *("--enable_lghash", "--lghash_dir", LAYER_GROUPS),
        ),
        expects=(Expected(pattern=BMODEL), Expected(pattern=profiles(variant), count=Outputs.ANY)),
        timeout_s=timeout_s,
        variables=_FILLED_MEMORY if filled_memory else (),
        search="-".join(option.lstrip("-") for option in options),
    )


def _deploy_arguments(variant: Variant, quantize_table: bool) -> tuple[str, ...]:
    if quantize_table and variant.precision != "int8":
        raise ValueError(f"a quantize table is for int8, not for {variant.precision}")
    arguments = [
        *("--mlir", TOP_MLIR),
        *("--chip", variant.chip.lower()),
        *("--quantize", _MODES[variant.precision]),
        *("--model", BMODEL),
    ]
    if variant.cores > 1:
        arguments += ["--num_core", str(variant.cores)]
    if variant.precision == "int8":
        arguments += ["--calibration_table", TABLE]
    if quantize_table:
        arguments += ["--quantize_table", QUANTIZE_TABLE]
    if variant.io == "raw":
        arguments += _RAW
    return tuple(arguments)


def profiles(variant: Variant) -> str:
    """Return the pattern of the files in which the compiler estimates the latency, one a core."""
    return "_*.dat" if variant.chip == "BM1684" else "compiler_profile_*.txt"


def estimated_ms(profile: str) -> float | None:
    """Read the compiler's own latency estimate out of a profile's text.

    Args:
        profile: Text of a file of `profiles`; its last line holds `runtime: 0.395412ms`.

    Returns:
        The estimate in milliseconds for one run of the whole batch, None where the text has none.
    """
    found = re.findall(r"runtime: ([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*ms", profile)
    return float(found[-1]) if found else None
