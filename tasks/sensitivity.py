"""Which tensors bring int8's error into the heads: each is put into float alone, and the heads are looked at.

The compiler has searches of its own for this. They compare the whole output, in which the heatmap hides that size or
offset are lost, so that what they name is not what the detections need; here every head counts alike. Error energies
add up nearly, which makes one tensor at a time tell enough to choose several together.

Tensors and not layers: of a layer that is alone in float both what it reads and what it makes stay in int8, and only
the rounding of its weights is gone, which is a small part of the error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from artifacts.release import PreprocessSpec, Variant
from inference.errors import EngineError
from settings.quantize import Recipe
from settings.sections import Driving
from tasks.attempts import Sensitivity, TensorShare
from tasks.compile import lowering
from tasks.distance import HEADS
from tasks.errors import CommandError
from tasks.progress import counted
from tasks.records import CalibrationSet, CalibrationTable, TopModel, Traced
from tasks.rungs import Tensor, input_batch
from tasks.step import step
from tasks.toolchain import command, graph, rules
from tasks.toolchain.model import Toolchain
from tasks.validate import interpreting, torchscript_of
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

IMAGES = 4
"""Of the curated set: layers must not be chosen by the images that judge them."""


@step(version=1, slot="sensitivity {variant.chip} {variant.precision}")
def find_sensitive(
    variant: Variant,
    model: TopModel,
    table: CalibrationTable,
    recipe: Recipe,
    traced: Traced,
    images: CalibrationSet,
    spec: PreprocessSpec,
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
) -> Sensitivity:
    """Try every tensor inside the network in float, one at a time.

    Args:
        variant: Chip, int8; batch and cores are 1.
        model: The network at batch 1.
        table: Ranges.
        recipe: What stays in float in any case.
        traced: What the heads should be.
        images: The curated set, of which the first few are used.
        spec: How an image becomes the input tensor.
        toolchain: The compiler.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.

    Returns:
        Every tensor that is not in float anyway and that the compiler takes in float, the one that is worth most first.

    Raises:
        CommandError: The compiler failed on what is in float anyway.
        EngineError: The interpreter failed on it, or took too long.
    """
    network = graph.parse(workspace.content.verified(model.mlir).read_text())
    kinds = {one.name: one.kind for one in network.operations.values()}
    used = images.images[:IMAGES]
    batches = [input_batch((image,), spec, workspace.content) for image in used]
    wanted = list(map(torchscript_of(traced, workspace), batches))

    def noise(kept: tuple[str, ...]) -> dict[str, float]:
        label, limit = f"sensitivity {variant.chip}", driving.timeouts.interpret
        # Not stored: of the full network a gigabyte would come together.
        with lowering(variant, model, network, table, kept, toolchain, driving, workspace) as ran:
            path = next(ran.folder.glob(command.LOWERED))
            with interpreting(path, label, toolchain, limit, workspace) as infer:
                return energies(wanted, map(infer, batches))

    anyway = rules.float_layers(network, recipe)
    before = noise(anyway)
    candidates = [(name, layers) for name, layers in rules.tensors(network).items() if not set(layers) <= set(anyway)]
    shares = []
    for name, layers in counted(candidates, f"sensitivity {variant.chip}"):
        try:
            after = noise(tuple(dict.fromkeys((*anyway, *layers))))
        except (CommandError, EngineError) as error:
            log.info("%s int8: the tensor of %s cannot be in float: %s", variant.chip, name, error)
            continue
        shares.append(TensorShare(tensor=name, kind=kinds[name], layers=layers, removed=removed(before, after)))
    # Equal ones stay in the order of the network.
    ordered = sorted(shares, key=lambda share: -share.worth)
    return Sensitivity(variant=variant, images=len(used), tensors=tuple(ordered))


def energies(wanted: Sequence[Tensor], found: Iterator[Tensor]) -> dict[str, float]:
    """Sum up the squared differences of head tensors, by head.

    Args:
        wanted: float32 [1, C + 4, h, w] each.
        found: As many, of the same shapes.
    """
    sums = dict.fromkeys(HEADS, 0.0)
    for one, other in zip(wanted, found, strict=True):
        gap = np.square(one.astype(np.float64) - other)
        for head, channels in HEADS.items():
            sums[head] += float(gap[:, channels].sum())
    return sums


def removed(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Tell which share of the error's energy is gone, by head; 0 where there was none."""
    return {head: 1 - after[head] / energy if energy else 0.0 for head, energy in before.items()}
