"""Trains the sample network: quarter-width dlav0_34 on generated scenes, from scratch, within a set time.

    python -m tasks.sample.train --minutes 35 --seed 0 --output FOLDER

The schedule follows the share of the time that is used up, so that a slow machine takes fewer steps and still ends
its learning rate. Time is processor time over threads: what other programs take from the machine makes the training
longer, not worse. Two runs of one seed see the same scenes in the same order, but not the same number of them.
"""

from __future__ import annotations

import argparse
import copy
import math
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from artifacts.release import PreprocessSpec
from inference.preprocess import affine_to_input, preprocess
from tasks.accuracy import Accuracy
from tasks.network import build_network
from tasks.network.dla import OUTPUT_STRIDE
from tasks.sample import INPUT_SIDE, NUM_CLASSES, WIDTH
from tasks.sample.evaluate import evaluate, torch_predictor
from tasks.sample.scenes import SHAPES, render_scene, scene_index
from tasks.sample.targets import centernet_loss, draw_targets

BATCH = 8
PEAK_RATE = 2e-3
WEIGHT_DECAY = 0.05
WARM_UP = 0.04
# The first half of the time goes to small inputs: two and a half times the scenes while the features form.
EARLY_SIDE = 160
EARLY_SHARE = 0.5
AVERAGE_DECAY = 0.998
GRADIENT_NORM = 10.0
LOG_EVERY = 50
SAVE_EVERY_S = 120.0
EVALUATION_SCENES = 64

Batch = tuple[Tensor, Tensor, Tensor, Tensor]


def main(arguments: list[str] | None = None) -> int:
    """Command line.

    Args:
        arguments: without the program's name; the process's own when missing.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m tasks.sample.train", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=35.0, help="processor time of each thread, in minutes")
    parser.add_argument("--seed", type=int, default=0, help="start values and scenes")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder for weights and log")
    parser.add_argument("--resume", action="store_true", help="go on from what an interrupted run left in the folder")
    options = parser.parse_args(arguments)
    train(minutes=options.minutes, seed=options.seed, output=options.output, resume=options.resume)
    return 0


def train(*, minutes: float, seed: int, output: Path, resume: bool = False) -> Accuracy:
    """Trains, writes `weights.pth` and `training.log`, and measures.

    Args:
        minutes: processor time of each thread.
        seed: start values and scenes.
        output: folder for the two files; weights and the state to resume from are replaced every few minutes.
        resume: go on from the state that an interrupted run left there.

    Returns:
        Accuracy of the stored float16 weights on evaluation scenes.

    Raises:
        FileNotFoundError: there is no state to resume from.
        ValueError: the training diverged.
    """
    output.mkdir(parents=True, exist_ok=True)
    state = output / "training.state"
    run = Run(seed)
    if resume:
        run.load(state)
    with (output / "training.log").open("a" if resume else "w", encoding="utf-8", buffering=1) as log:
        log.write(_heading(minutes, run))
        _optimise(run, minutes=minutes, output=output, state=state, log=log.write)
        measured = evaluate(torch_predictor(stored_copy(run.averaged)), count=EVALUATION_SCENES, seed=seed)
        log.write(
            f"\n{run.steps} steps of {BATCH} scenes in {minutes:g} minutes\n"
            f"COCO AP@[.5:.95] {measured.ap or 0:.4f}, AP50 {measured.ap50 or 0:.4f}, AP75 {measured.ap75 or 0:.4f} "
            f"on {EVALUATION_SCENES} unseen scenes, float16-rounded weights\n"
        )
    state.unlink()
    return measured


class Run:
    """A training under way: the network, its average, the optimiser, and how far it has come.

    Attributes:
        seed: start values and scenes.
        network: what is trained.
        averaged: moving average of it, which is what is kept in the end.
        steps: steps taken.
        used_s: processor time of each thread so far, in seconds.
    """

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        network = build_network("dlav0_34", WIDTH, NUM_CLASSES)
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
        images, *targets = training_batch(self.seed, self.steps, side)
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
        epoch: thousands of scenes seen.

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


def training_batch(seed: int, step: int, side: int) -> Batch:
    """Scenes of the training split with their targets.

    Args:
        seed: family of scenes.
        step: number of the batch.
        side: input height and width in pixels, a multiple of 32.

    Returns:
        Images float32 [N, 3, side, side], heatmaps float32 [N, 8, side / 4, side / 4], sizes and offsets float32
        [N, 4, side / 4, side / 4], and the mask of the latter float32 [N, side / 4, side / 4].
    """
    items = [training_item(seed, step * BATCH + i, side) for i in range(BATCH)]
    images, heatmaps, geometries, masks = (torch.from_numpy(np.stack(part)) for part in zip(*items, strict=True))
    return images, heatmaps, geometries, masks


def training_item(seed: int, position: int, side: int) -> tuple[NDArray[np.float32], ...]:
    """One scene of the training split with its targets; see `training_batch` for what they are."""
    image, objects = render_scene(seed, scene_index("train", position))
    spec = PreprocessSpec(width=side, height=side)
    affine = affine_to_input((image.shape[0], image.shape[1]), spec) / OUTPUT_STRIDE
    xywh = np.array([item.bbox_xywh for item in objects], np.float64).reshape(-1, 4)
    corners = np.stack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    cells = (corners * np.diag(affine[:, :2]) + affine[:, 2]).reshape(-1, 4).astype(np.float32)
    grid = (side // OUTPUT_STRIDE, side // OUTPUT_STRIDE)
    classes = [item.category_id - 1 for item in objects]
    return (preprocess(image, spec), *draw_targets(cells, classes, num_classes=len(SHAPES), grid=grid))


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
        recent.append(run.step(EARLY_SIDE if progress < EARLY_SHARE else INPUT_SIDE, rate))
        if run.steps % LOG_EVERY == 0:
            heat, size, offset = np.mean(recent, axis=0)
            log(f"{run.steps:6d} {run.used_s:7.0f} {rate:9.6f} {heat:8.4f} {size:8.4f} {offset:8.4f}\n")
            recent.clear()
        if run.used_s - saved_s > SAVE_EVERY_S:
            run.save(state)
            save_weights(run.averaged, output / "weights.pth", epoch=run.steps * BATCH // 1000)
            saved_s = run.used_s
    run.save(state)
    save_weights(run.averaged, output / "weights.pth", epoch=run.steps * BATCH // 1000)


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
    parameters = sum(parameter.numel() for parameter in run.network.parameters())
    return (
        f"dlav0_34 at width {WIDTH}, {parameters} parameters, {INPUT_SIDE} x {INPUT_SIDE}, "
        f"{len(SHAPES)} shapes, seed {run.seed}, {minutes:g} minutes, batch {BATCH}\n"
        f"python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, "
        f"opencv {cv2.__version__}, {torch.get_num_threads()} threads\n\n"
        "  step seconds      rate  heatmap    sizes  offsets   (losses: means since the last line)\n"
    )


if __name__ == "__main__":
    sys.exit(main())
