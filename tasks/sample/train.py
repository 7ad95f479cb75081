"""Trains the sample network: quarter-width dlav0_34 on generated scenes, from scratch, within a set time.

    python -m tasks.sample.train --minutes 35 --seed 0 --output FOLDER

The time is processor time over threads. Two runs of one seed see the same scenes in the same order, but not the same
number of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from tasks.accuracy import Accuracy
from tasks.sample import INPUT_SIDE
from tasks.sample.evaluate import evaluate, torch_predictor
from tasks.sample.scenes import SHAPES, render_scene, scene_index
from tasks.sample.targets import Item, training_item
from tasks.sample.training import Course, carry_out

BATCH = 8
EARLY_SIDE = 160
EARLY_SHARE = 0.5
EVALUATION_SCENES = 64


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
    return carry_out(
        scenes_course(seed),
        minutes=minutes,
        output=output,
        resume=resume,
        measure=lambda network: evaluate(torch_predictor(network), count=EVALUATION_SCENES, seed=seed),
        measured_on=f"{EVALUATION_SCENES} unseen scenes",
    )


def scenes_course(seed: int) -> Course:
    """Scenes of the training split, learned from scratch.

    Args:
        seed: start values and family of scenes.

    Returns:
        The course; no scene comes twice.
    """
    return Course(
        item=lambda position, side: scene_item(seed, position, side),
        subject=f"scenes of {len(SHAPES)} shapes",
        seed=seed,
        batch=BATCH,
        early_side=EARLY_SIDE,
        early_share=EARLY_SHARE,
        side=INPUT_SIDE,
    )


def scene_item(seed: int, position: int, side: int) -> Item:
    """One scene of the training split with its targets.

    Args:
        seed: family of scenes.
        position: number of the scene in the split.
        side: input height and width in pixels, a multiple of 32.

    Returns:
        See `training_item`; the heatmap has one channel for each shape.
    """
    image, objects = render_scene(seed, scene_index("train", position))
    xywh = np.array([item.bbox_xywh for item in objects], np.float64).reshape(-1, 4)
    return training_item(image, xywh, [item.category_id - 1 for item in objects], classes=len(SHAPES), side=side)


if __name__ == "__main__":
    sys.exit(main())
