"""Training of the sample's kind of network within a set time, whatever the images and wherever it begins.

The schedule follows the share of the time that is used up, so that a slow machine takes fewer steps and still ends
its learning rate. Time is processor time over threads: what other programs take from the machine makes the training
longer, not worse.
"""

from __future__ import annotations

import copy
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.accuracy import Accuracy
from tasks.network import build_network
from tasks.network.checkpoint import load_checkpoint
from tasks.sample import NETWORK, NUM_CLASSES, WIDTH
from tasks.sample.targets import Item, centernet_loss

PEAK_RATE = 2e-3
WEIGHT_DECAY = 0.05
WARM_UP = 0.04
AVERAGE_DECAY = 0.998
GRADIENT_NORM = 10.0
LOG_EVERY = 50
SAVE_EVERY_S = 120.0
WEIGHTS_NAME = "weights.pth"
STATE = "training.state"

Batch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Course:
    """What is learned, and from where.

    Attributes:
        item: the image of a position and an input side in pixels, with its targets; see `training_item`.
        subject: what the images are, for the log.
        seed: start values, and whatever `item` draws.
        batch: images of a step.
        early_side: input height and width at first, pixels, a multiple of 32: two and a half times the images while
            the features form, where it is 160 and `side` 256.
        early_share: share of the time that goes to it.
        side: input height and width from then on.
        start: checkpoint to start from; None starts from drawn values.
    """

    item: Callable[[int, int], Item]
    subject: str
    seed: int
    batch: int
    early_side: int
    early_share: float
    side: int
    start: Path | None = None


def carry_out(
    course: Course,
    *,
    minutes: float,
    output: Path,
    resume: bool,
    measure: Callable[[nn.Module], Accuracy],
    measured_on: str,
) -> Accuracy:
    """Trains, writes `weights.pth` and `training.log`, and measures.

    Args:
        course: what is learned.
        minutes: processor time of each thread.
        output: folder for the two files; weights and the state to resume from are replaced every few minutes.
        resume: go on from the state that an interrupted run left there.
        measure: accuracy of a network in evaluation mode.
        measured_on: the images that it measures on, for the log.

    Returns:
        Accuracy of the stored float16 weights.

    Raises:
        FileNotFoundError: there is no state to resume from.
        CheckpointError: the weights to start from do not fit.
        ValueError: the training diverged.
    """
    output.mkdir(parents=True, exist_ok=True)
    state = output / STATE
    run = Run(course)
    if resume:
        run.load(state)
    with (output / "training.log").open("a" if resume else "w", encoding="utf-8", buffering=1) as log:
        log.write(_heading(minutes, run))
        _optimise(run, minutes=minutes, output=output, state=state, log=log.write)
        measured = measure(stored_copy(run.averaged))
        log.write(
            f"\n{run.steps} steps of {course.batch} {course.subject} in {minutes:g} minutes\n"
            f"COCO AP@[.5:.95] {measured.ap or 0:.4f}, AP50 {measured.ap50 or 0:.4f}, AP75 {measured.ap75 or 0:.4f} "
            f"on {measured_on}, float16-rounded weights\n"
        )
    state.unlink()
    return measured


class Run:
    """A training under way: the network, its average, the optimiser, and how far it has come.

    Attributes:
        course: what is learned.
        network: what is trained.
        averaged: moving average of it, which is what is kept in the end.
        steps: steps taken.
        used_s: processor time of each thread so far, in seconds.
    """

    def __init__(self, course: Course) -> None:
        torch.manual_seed(course.seed)
        self.course = course
        network = build_network(NETWORK, WIDTH, NUM_CLASSES)
        if course.start is not None:
            load_checkpoint(course.start, network)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(_parameter_groups(self.network), lr=PEAK_RATE)
        self.steps = 0
        self.used_s = 0.0

    def step(self, side: int, rate: float) -> NDArray[np.float64]:
        """Takes one step.

        Args:
            side: input height and width in pixels.
            rate: learning rate.

        Returns:
            The losses of heatmap, sizes and offsets, float64 [3].
        """
        started = time.process_time()
        images, *targets = training_batch(self.course, self.steps, side)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        heads = self.network(images.to(memory_format=torch.channels_last))
        losses = centernet_loss(heads, *targets, num_classes=NUM_CLASSES)
        self.optimiser.zero_grad()
        torch.autograd.backward(torch.stack(losses).sum())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self.optimiser.step()
        self.steps += 1
        # A young average would remember the start values for long.
        _average(self.averaged, self.network, min(AVERAGE_DECAY, self.steps / (self.steps + 10)))
        self.used_s += (time.process_time() - started) / torch.get_num_threads()
        return np.array([float(loss.detach()) for loss in losses])

    def save(self, path: Path) -> None:
        """Writes everything that `load` needs, in one step."""
        content = {name: getattr(self, name).state_dict() for name in ("network", "averaged", "optimiser")}
        partial = path.with_suffix(".part")
        torch.save({**content, "steps": self.steps, "used_s": self.used_s}, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Takes up where `save` was called."""
        content = torch.load(path, weights_only=True)
        for name in ("network", "averaged", "optimiser"):
            getattr(self, name).load_state_dict(content[name])
        self.steps, self.used_s = content["steps"], content["used_s"]


def save_weights(network: nn.Module, path: Path, *, epoch: int) -> None:
    """Writes weights in the layout of the published checkpoints, floats narrowed to float16.

    Args:
        network: whose state_dict is stored.
        path: replaced in one step.
        epoch: thousands of images seen.

    Raises:
        ValueError: a weight is not finite, or beyond float16; the file is left as it was.
    """
    state = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    broken = [key for key, value in state.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise ValueError(f"{broken[0]} and {len(broken) - 1} more are not finite in float16: the training diverged")
    partial = path.with_suffix(".part")
    torch.save({"epoch": epoch, "state_dict": {k: v.contiguous() for k, v in state.items()}}, partial)
    partial.replace(path)


def stored_copy(network: nn.Module) -> nn.Module:
    """The network as a reader of the stored file has it: weights rounded to float16, held in float32."""
    return copy.deepcopy(network).half().float().eval()


def training_batch(course: Course, step: int, side: int) -> Batch:
    """The images of one step with their targets.

    Args:
        course: where they come from.
        step: number of the batch.
        side: input height and width in pixels, a multiple of 32.

    Returns:
        Images float32 [N, 3, side, side], heatmaps float32 [N, C, side / 4, side / 4], sizes and offsets float32
        [N, 4, side / 4, side / 4], and the mask of the latter float32 [N, side / 4, side / 4].
    """
    items = [course.item(step * course.batch + i, side) for i in range(course.batch)]
    images, heatmaps, geometries, masks = (torch.from_numpy(np.stack(part)) for part in zip(*items, strict=True))
    return images, heatmaps, geometries, masks


def learning_rate(progress: float) -> float:
    """Linear warm-up, then a half cosine down to one hundredth.

    Args:
        progress: share of the time that is used up, 0 to 1.

    Returns:
        Learning rate.
    """
    if progress < WARM_UP:
        return PEAK_RATE * (0.02 + 0.98 * progress / WARM_UP)
    fallen = min(1.0, (progress - WARM_UP) / (1 - WARM_UP))
    return PEAK_RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * fallen)) / 2)


def _optimise(run: Run, *, minutes: float, output: Path, state: Path, log: Callable[[str], object]) -> None:
    """Runs the schedule to its end and leaves the averaged weights."""
    saved_s = run.used_s
    recent: list[NDArray[np.float64]] = []
    while (progress := run.used_s / (60 * minutes)) < 1:
        rate = learning_rate(progress)
        early = progress < run.course.early_share
        recent.append(run.step(run.course.early_side if early else run.course.side, rate))
        if run.steps % LOG_EVERY == 0:
            heat, size, offset = np.mean(recent, axis=0)
            log(f"{run.steps:6d} {run.used_s:7.0f} {rate:9.6f} {heat:8.4f} {size:8.4f} {offset:8.4f}\n")
            recent.clear()
        if run.used_s - saved_s > SAVE_EVERY_S:
            _keep(run, output, state)
            saved_s = run.used_s
    _keep(run, output, state)


def _keep(run: Run, output: Path, state: Path) -> None:
    run.save(state)
    save_weights(run.averaged, output / WEIGHTS_NAME, epoch=run.steps * run.course.batch // 1000)


def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of weights and batch statistics alike."""
    with torch.no_grad():
        for mean, latest in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(latest, 1 - decay)
            else:
                mean.copy_(latest)


def _parameter_groups(network: nn.Module) -> list[dict[str, object]]:
    """Decay on convolutions only: it keeps ranges narrow, which rounding to 8 bits rewards."""
    decayed = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    names = {id(weight) for weight in decayed}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in names]
    return [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]


def _heading(minutes: float, run: Run) -> str:
    if run.steps:
        return f"resumed after step {run.steps}\n"
    course = run.course
    parameters = sum(parameter.numel() for parameter in run.network.parameters())
    return (
        f"{NETWORK} at width {WIDTH}, {parameters} parameters, {course.side} x {course.side}, "
        f"{course.subject}, seed {course.seed}, {minutes:g} minutes, batch {course.batch}\n"
        f"python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, "
        f"opencv {cv2.__version__}, {torch.get_num_threads()} threads\n\n"
        "  step seconds      rate  heatmap    sizes  offsets   (losses: means since the last line)\n"
    )
