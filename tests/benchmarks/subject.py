"""What the experiments with int8 are made on: a network, what it is calibrated on, and what it is measured on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from artifacts.measurements import Loss
from artifacts.release import PreprocessSpec, Variant
from settings.load import load_settings
from settings.sources import FolderSource, LabelledFolderSource
from tasks.bootstrap import CONFIDENCE
from tasks.compile import import_network
from tasks.gather import collect_folders, draw_scenes
from tasks.loss import measure_loss
from tasks.network import build_network
from tasks.network.running import torchscript
from tasks.network.tracing import traced_bytes
from tasks.records import Checkpoint, ImageSet, Lowered, Measured, Traced
from tasks.rungs import Infer, Tensor, measure
from tasks.toolchain.provision import cache_root, provision
from tasks.trace import trace
from tasks.validate import evaluate_reference, interpreter
from tasks.workspace import Workspace
from tests.conftest import COCO_MINI

SETTINGS = load_settings("sample", environ={})
SPEC = SETTINGS.preprocess.spec()
DRIVING = SETTINGS.toolchain.driving
WEIGHTS = Path(__file__).resolve().parents[2] / "tasks" / "sample" / "weights.pth"
SCENES = 64
CANDIDATES = 600


class Amounts(NamedTuple):
    """How many images the experiments with calibration take, which hangs on how many there are.

    Attributes:
        usual: As a build takes them.
        fewer: As many as the vendor's scripts use of these.
        sizes: How many are tried.
        drawn: How many, where chosen images are compared with drawn ones.
    """

    usual: int
    fewer: int
    sizes: tuple[int, ...]
    drawn: tuple[int, ...]


class Judged(NamedTuple):
    """What one way of quantizing gives.

    Attributes:
        measured: Accuracy and distances.
        drop: AP lost against the TorchScript.
        low: No less is lost, with the confidence of a build.
        high: No more is lost, with the confidence of a build.
    """

    measured: Measured
    drop: float
    low: float
    high: float

    @property
    def bounds(self) -> str:
        """Both bounds, for a table."""
        return f"{self.low:.4f} to {self.high:.4f}"

    def heads(self, figure: str) -> str:
        """A figure of each head's distance, `cosine`, `snr_db` or `max_abs`, for a table."""
        form = {"cosine": ".5f", "snr_db": ".1f", "max_abs": ".3g"}[figure]
        return " / ".join(f"{getattr(far, figure):{form}}" for far in self.measured.distances.values())


BOUNDS = f"AP lost, bounds of {CONFIDENCE:.0%} each"


class Subject:
    """A network of the sample's width and size, imported, with everything that it is measured against."""

    def __init__(self, folder: Path, weights: Path, amounts: Amounts) -> None:
        self.amounts = amounts
        self.toolchain = provision(SETTINGS.toolchain.version, root=cache_root())
        self.workspace = Workspace(store=str(folder / "store"), cache=str(cache_root()))
        self.content, self.judging = self.workspace.content, SETTINGS.evaluation.judging
        checkpoint = Checkpoint(blob=self.content.put_file(weights))
        self.traced: Traced = trace.fn(checkpoint, SETTINGS.network, SPEC, self.workspace)
        self.model = import_network.fn(self.traced, 1, self.toolchain, DRIVING, self.workspace)
        self.candidates, self.evaluation = self.images()
        self.reference: Measured = evaluate_reference.fn(
            self.traced, self.evaluation, SPEC, self.judging, self.workspace
        )

    def images(self) -> tuple[ImageSet, ImageSet]:
        """Images to calibrate on, and others to measure on: generated scenes."""
        return (
            draw_scenes.fn("calibration", CANDIDATES, 0, self.workspace),
            draw_scenes.fn("evaluation", SCENES, 0, self.workspace),
        )

    @contextmanager
    def loaded(self, lowered: Lowered) -> Iterator[Infer]:
        """A lowered network in the compiler's interpreter."""
        limit = DRIVING.timeouts.interpret
        with interpreter(lowered, lowered.variant.chip, self.toolchain, limit, self.workspace) as infer:
            yield infer

    def judge(self, variant: Variant, infer: Infer) -> Judged:
        """Measure what a network gives for the evaluation set, and what it loses."""
        measured = measure(
            variant.chip,
            infer,
            self.evaluation,
            spec=SPEC,
            judging=self.judging,
            content=self.content,
            torchscript=torchscript(self.content.verified(self.traced.module)),
            reference=self.reference,
            variant=variant,
        )
        loss = self.loss(measured, self.reference)
        return Judged(measured, loss.drop, loss.low, loss.high)

    def loss(self, measured: Measured, reference: Measured) -> Loss:
        """What one loses against the other, on the same images."""
        loss = measure_loss.fn(measured, reference, self.evaluation, self.judging, self.workspace).bounds
        assert loss is not None
        return loss


class Photographs(Subject):
    """The same network fitted to the very photographs that it is measured on; calibrated on others."""

    def images(self) -> tuple[ImageSet, ImageSet]:
        """Photographs of COCO: what the network has never seen, and what it was fitted to."""
        notes = COCO_MINI / "annotations"
        unseen = FolderSource(
            kind="folder",
            folders=(COCO_MINI / "val2017", COCO_MINI / "val2017_unlabelled"),
            annotations=(notes / "instances_val2017.json",),
        )
        seen = LabelledFolderSource(
            kind="folder",
            folders=(COCO_MINI / "train2017",),
            annotations=(notes / "instances_train2017.json",),
        )
        return (
            collect_folders.fn(unseen, "calibration", self.workspace),
            collect_folders.fn(seen, "evaluation", self.workspace),
        )


def scenes(folder: Path) -> Subject:
    """The sample's network on its generated scenes."""
    return Subject(folder, WEIGHTS, Amounts(usual=200, fewer=128, sizes=(25, 50, 100, 200, 400), drawn=(200, 50)))


def photographs(folder: Path, weights: Path) -> Subject:
    """The network that `weights` holds on photographs; of the 193 candidates some are gray."""
    return Photographs(folder, weights, Amounts(usual=150, fewer=128, sizes=(25, 50, 100, 150), drawn=(100, 50)))


def untrained(spec: PreprocessSpec, workspace: Workspace) -> tuple[torch.nn.Module, Traced]:
    """The network at full width with random weights (seed 0): for times, not for accuracy."""
    torch.manual_seed(0)
    network = build_network("dlav0_34", width=1.0).eval()
    shape = (1, 3, spec.height, spec.width)
    data, difference, output_shape = traced_bytes(network, shape)
    traced = Traced(
        module=workspace.content.put_bytes(data),
        input_shape=shape,
        output_shape=output_shape,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        max_difference=difference,
    )
    return network, traced


def joined(outputs: dict[str, np.ndarray], layers: tuple[str, ...]) -> Tensor:
    """The head tensor out of a model's outputs, one of each layer, in the order of the layers.

    Args:
        outputs: By the compiler's name, the layer's with its type behind it, such as `965_f32`; [N, channels, h, w].
        layers: Layer names.
    """
    found = [[name for name in outputs if name.rpartition("_")[0] == layer or name == layer] for layer in layers]
    assert [len(names) for names in found] == [1] * len(outputs), (list(outputs), layers)
    return np.concatenate([np.asarray(outputs[name], np.float32) for (name,) in found], axis=1)
