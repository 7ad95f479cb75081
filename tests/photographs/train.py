"""Fits the sample's network to photographs, within a set time, and says how to build from it.

    python -m tests.photographs.train [--photographs FOLDER] [--minutes 35]

FOLDER is laid out like COCO: train2017/ and annotations/instances_train2017.json; --images and --annotations name them
where they lie elsewhere. An interrupted run is taken up where it was; where one has ended, nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from artifacts.digest import digest_file
from tasks.errors import TaskError
from tasks.sample import WEIGHTS
from tasks.sample.evaluate import torch_predictor
from tasks.sample.training import STATE, WEIGHTS_NAME, Course, carry_out
from tests.photographs import COCO_MINI, INPUT_SIDE, OUTPUT, PROFILE
from tests.photographs.album import Album, open_album

BATCH = 8
EARLY_SIDE = 160
# Less than the sample takes: classes carry over to the final size, what is known of single photographs does not.
EARLY_SHARE = 0.3
SPLIT = "train2017"
PHOTOGRAPHS = "photographs.json"


class OtherPhotographs(TaskError):
    """Weights are there that were fitted to other photographs."""


def main(arguments: list[str] | None = None) -> int:
    """Command line.

    Args:
        arguments: without the program's name; the process's own when missing.

    Returns:
        Exit status: 0 done, 1 the photographs cannot be used.
    """
    options = _parser().parse_args(arguments)
    images = options.images or options.photographs / SPLIT
    annotations = options.annotations or options.photographs / "annotations" / f"instances_{SPLIT}.json"
    asked = (str(images.resolve()), str(annotations.resolve()))
    try:
        if (fitted := fitted_to(options.output)) not in (None, asked):
            raise OtherPhotographs(f"{options.output} is fitted to those of {fitted[0]}; choose another --output.")
        if is_trained(options.output):
            print(f"{options.output / WEIGHTS_NAME} is there already; remove it to train again.")
        else:
            album = open_album(images, annotations)
            options.output.mkdir(parents=True, exist_ok=True)
            (options.output / PHOTOGRAPHS).write_text(json.dumps(asked), encoding="utf-8")
            print(
                f"Fitting to {len(album.dataset.images)} photographs; {options.output}/training.log tells how it goes."
            )
            train(album, minutes=options.minutes, seed=options.seed, output=options.output)
    except TaskError as error:
        print(f"The photographs cannot be used: {error}", file=sys.stderr)
        return 1
    print(f"Build from it with:\n  {build_command(options.output, images, annotations)}")
    return 0


def train(album: Album, *, minutes: float, seed: int, output: Path) -> None:
    """Fits, writes `weights.pth` and `training.log`, and measures on the very same photographs.

    Args:
        album: the photographs.
        minutes: processor time of each thread.
        seed: order of the photographs.
        output: folder for the two files; an interrupted run that left its state there is taken up.

    Raises:
        BadImage: a photograph cannot be read.
        ValueError: the training diverged.
    """
    carry_out(
        photographs_course(album, seed),
        minutes=minutes,
        output=output,
        resume=(output / STATE).exists(),
        measure=lambda network: album.measure(torch_predictor(network), INPUT_SIDE),
        measured_on=f"the very {len(album.dataset.images)} photographs that it was fitted to (a test of the pipeline, "
        "not of the detector)",
    )


def photographs_course(album: Album, seed: int) -> Course:
    """Photographs, learned from the sample's weights on.

    Args:
        album: the photographs.
        seed: their order.

    Returns:
        The course.
    """
    return Course(
        item=lambda position, side: album.item(seed, position, side),
        subject="photographs",
        seed=seed,
        batch=BATCH,
        early_side=EARLY_SIDE,
        early_share=EARLY_SHARE,
        side=INPUT_SIDE,
        start=WEIGHTS,
    )


def is_trained(output: Path) -> bool:
    """Whether a training in a folder has come to its end: weights of one under way are there, too."""
    return (output / WEIGHTS_NAME).exists() and not (output / STATE).exists()


def fitted_to(output: Path) -> tuple[str, str] | None:
    """What weights or a state to resume from are about.

    Args:
        output: folder for them.

    Returns:
        Folder of the photographs and annotation file, absolute; None where neither weights nor a state are, or nobody
        knows any more.
    """
    record = output / PHOTOGRAPHS
    if not record.exists() or not any((output / name).exists() for name in (WEIGHTS_NAME, STATE)):
        return None
    images, annotations = json.loads(record.read_text(encoding="utf-8"))
    return images, annotations


def build_command(output: Path, images: Path, annotations: Path) -> str:
    """The command that builds from what was trained.

    Args:
        output: folder of the weights.
        images: folder of the photographs that it was fitted to.
        annotations: the file about them.

    Returns:
        A command line for a shell; it sets only what the profile has otherwise.
    """
    settings: list[str] = []
    if output.resolve() != OUTPUT.resolve():
        weights = output.resolve() / WEIGHTS_NAME
        settings += [f'weights.mirrors=["{weights}"]', f'weights.digest="{digest_file(weights)}"']
    if images.resolve() != COCO_MINI / SPLIT:
        settings.append(f'evaluation.source.folders=["{images.resolve()}"]')
        settings.append(f'evaluation.source.annotations=["{annotations.resolve()}"]')
        settings += ['calibration.source.folders=["FOLDER_OF_OTHER_PHOTOGRAPHS"]', "calibration.source.annotations=[]"]
    profile = PROFILE.relative_to(Path(__file__).resolve().parents[2])
    return shlex.join([".venv/bin/python", "-m", "flows.build", "--profile", str(profile)]) + "".join(
        f" \\\n    --set {shlex.quote(setting)}" for setting in settings
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.photographs.train", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--photographs", type=Path, default=COCO_MINI, help="folder laid out like COCO")
    parser.add_argument("--images", type=Path, help="folder of the photographs; FOLDER/train2017 when missing")
    parser.add_argument("--annotations", type=Path, help="COCO annotations (JSON) of them; FOLDER's when missing")
    parser.add_argument("--minutes", type=float, default=35.0, help="processor time of each thread, in minutes")
    parser.add_argument("--seed", type=int, default=0, help="order of the photographs")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for weights and log")
    return parser


if __name__ == "__main__":
    sys.exit(main())
