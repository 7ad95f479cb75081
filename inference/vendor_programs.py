"""Which of the vendor's sample programs run a model of a release, and why not the others.

What they ask of a model was read, not tried, in sample/CenterNet of sophgo/sophon-demo at commit c7c94bb:
python/centernet_opencv.py, python/centernet_bmcv.py and python/postprocess_numpy.py; cpp/centernet_bmcv with
cpp/dependencies/include/bmnn_utils.h; cpp/centernet_sail. All take the first network of the file and the tensors' names
from it, so that names do not matter; none looks at what it was given, so that a model that does not fit gives an error
of the runtime, wrong boxes or a crash.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from artifacts.release import PreprocessSpec, TensorInfo, VariantRecord

# Written into the programs: 512 x 512 into centernet_opencv.py's preprocess and into PostProcess.input_shape, 84 and 80
# channels into PostProcess and both C++ programs, 128 x 128 into their MaxOfLocation and topk.
SIZE = 512
CLASSES = 80
CHANNELS = CLASSES + 4
GRID = 128


class Program(NamedTuple):
    """One of the vendor's programs and what it was written for.

    Attributes:
        name: As the vendor's tables call it, the C++ ones without `.pcie` or `.soc`.
        feeds: Element types of the input that it can make.
        reads: Element types of the output that it reads rightly.
        batches: The batch sizes that it knows; None for any.
        planes: Which colour it hands over first.
    """

    name: str
    feeds: Tuple[str, ...]
    reads: Tuple[str, ...]
    batches: Optional[Tuple[int, ...]]
    planes: str


PROGRAMS = (
    Program("centernet_opencv.py", ("float32",), ("float32",), None, "BGR"),
    # sail.BMImageArray exists for these; the output is read without its scale.
    Program("centernet_bmcv.py", ("float32", "int8"), ("float32",), (1, 2, 3, 4, 8, 16, 32, 64, 128, 256), "RGB"),
    Program("centernet_bmcv", ("float32", "int8"), ("float32", "int8", "int32"), None, "RGB"),
    # Any other batch is passed over: the program ends well and its result is an empty list.
    Program("centernet_sail", ("float32", "int8"), ("float32",), (1, 4), "BGR"),
)


def obstacles(program: Program, model: VariantRecord, spec: PreprocessSpec) -> Tuple[str, ...]:
    """Say what keeps a program from running a model.

    Args:
        program: One of `PROGRAMS`.
        model: The model, as its release records it.
        spec: The release's preprocessing, of float variants.

    Returns:
        What is in the way, each as half a sentence about the model, in which "they" are the programs that cannot; empty
        where nothing is.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return (f"has {len(model.inputs)} inputs and {len(model.outputs)} outputs, not one of each",)
    given, made = model.inputs[0], model.outputs[0]
    found = [*_of_shapes(given, made), *_of_types(program, given, made)]
    if program.batches is not None and model.variant.batch not in program.batches:
        found.append(f"has batch {model.variant.batch}, they know {', '.join(map(str, program.batches))}")
    if _arithmetic(spec) != _arithmetic(PreprocessSpec()):
        found.append("is normalised otherwise than they do it")
    return tuple(found)


def in_words(model: VariantRecord, spec: PreprocessSpec) -> str:
    """Say which programs run a model: ``all four``, or the names of those that do, with the reasons of the others.

    Args:
        model: The model, as its release records it.
        spec: The release's preprocessing, of float variants.
    """
    found = [(program.name, obstacles(program, model, spec)) for program in PROGRAMS]
    names = [name for name, why in found if not why]
    reasons = dict.fromkeys(reason for _, why in found for reason in why)
    return f"{', '.join(names) or 'none'} ({'; '.join(reasons)})" if reasons else "all four"


def _of_shapes(given: TensorInfo, made: TensorInfo) -> List[str]:
    found = []
    if given.shape[1:] != (3, SIZE, SIZE):
        found.append(f"takes {_across(given)}, they are written for {SIZE} x {SIZE}")
    channels = made.shape[1] if len(made.shape) > 1 else 0
    if channels != CHANNELS:
        found.append(f"gives {channels} channels, they are written for the {CHANNELS} of {CLASSES} classes")
    if made.shape[2:] != (GRID, GRID):
        found.append(f"gives a grid of {_across(made)}, they are written for {GRID} x {GRID}")
    return found


def _of_types(program: Program, given: TensorInfo, made: TensorInfo) -> List[str]:
    found = []
    if given.dtype not in program.feeds:
        found.append(f"takes {given.dtype}, which they do not feed")
    if made.dtype not in program.reads:
        found.append(f"gives {made.dtype}, which they do not read")
    return found


def _arithmetic(spec: PreprocessSpec) -> Tuple[object, ...]:
    return (spec.channel_order, spec.scale, spec.mean, spec.std)


def _across(tensor: TensorInfo) -> str:
    return " x ".join(map(str, tensor.shape[:1:-1]))
