"""The arguments that say which model is run, and on what; and the detector that they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from inference.engines import ENGINE_NAMES, WAYS

if TYPE_CHECKING:
    from inference.detector import Detector


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add them: ``model``, ``engine``, ``device``, ``preprocess``, ``chip``, ``precision``, ``batch`` and ``io``."""
    parser.add_argument(
        "--model",
        metavar="REF|FOLDER|FILE.bmodel",
        help="a pulled release, a release's folder, or a bmodel in one (the release that is in use on this device)",
    )
    parser.add_argument("--engine", choices=ENGINE_NAMES, default="auto", help="what runs the model (%(default)s)")
    parser.add_argument("--device", type=int, default=0, metavar="N", help="which TPU, as bm-smi numbers them")
    parser.add_argument(
        "--preprocess",
        choices=WAYS,
        default=WAYS[0],
        help="what decodes and prepares images: the processor, or the device, which changes results (%(default)s)",
    )
    parser.add_argument("--chip", metavar="CHIP", help="only a model for BM1684, BM1684X or BM1688")
    parser.add_argument("--precision", metavar="PRECISION", help="only a model in fp32, fp16 or int8")
    parser.add_argument("--batch", type=positive, metavar="N", help="only a model that takes N images at once")
    parser.add_argument("--io", metavar="IO", help="only a model that takes float (first where there are both) or raw")


def open_detector(
    model: Path,
    options: argparse.Namespace,
    *,
    conf: float = 0.35,
    match_fp32: bool = False,
    top_k: int = 100,
    one_class_a_cell: bool = False,
) -> Detector:
    """Load the model, and say which one it is and, where several would have done, how it was chosen.

    Args:
        model: What ``--model`` means (`inference.deploy.local_release`).
        options: ``engine``, ``device``, ``preprocess``, ``chip``, ``precision``, ``batch`` and ``io``.
        conf: Lowest score that is kept.
        match_fp32: Whether that is a score of the network in fp32.
        top_k: Most detections for one image.
        one_class_a_cell: Whether only the best class of a cell is kept.

    Raises:
        InferenceError: The model or the engine is not here, or not usable.
    """
    from inference.detector import Detector
    from inference.wish import differing_axes

    detector = Detector(
        model,
        options.engine,
        chip=options.chip,
        precision=options.precision,
        batch=options.batch,
        io=options.io,
        device=options.device,
        preprocess=options.preprocess,
        conf=conf,
        match_fp32=match_fp32,
        top_k=top_k,
        one_class_a_cell=one_class_a_cell,
    )
    found, info = detector.model, detector.engine_info
    way = "" if detector.preprocess == WAYS[0] else f", preprocessing by {detector.preprocess}"
    print(f"{found.path} on the {info.engine} of {info.chip}{way}; {found.chosen.blob.digest}", flush=True)
    if match_fp32:
        print(f"score {conf:g} of fp32 is {detector.conf:.4f} of this model: both find as many objects", flush=True)
    if found.others:
        axes = differing_axes([found.variant, *found.others])
        ways = [f"--{axis}" for axis in axes if hasattr(options, axis)] or ["its file, by --model"]
        print(
            f"chosen among {1 + len(found.others)} models that fit: float before raw, then the smallest batch, the "
            f"fewest cores, and int8 before fp16 before fp32; name another by {', '.join(ways)}",
            flush=True,
        )
    return detector


def positive(text: str) -> int:
    """Read a whole number from 1.

    Raises:
        argparse.ArgumentTypeError: It is less.
        ValueError: It is no number.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value
