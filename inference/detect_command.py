"""``python -m inference detect``: images in, annotated images and results JSON out."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Dict, List, Tuple

import cv2
import numpy as np

from artifacts.errors import ArtifactError
from artifacts.files import atomic_write
from inference.decode import Detections
from inference.detector import Detector
from inference.draw import draw
from inference.errors import ImageError, OptionError, OutputError
from inference.images import read_image
from inference.results import coco_results

RESULTS_FILE = "detections.json"

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})


def detect(options: argparse.Namespace) -> int:
    """Run the command.

    Args:
        options: ``model``, ``input``, ``output``, ``conf``, ``engine``, ``chip`` and ``precision``.

    Returns:
        How many images could not be read; they were named and skipped.

    Raises:
        OptionError: The output folder is the images' own folder.
        ImageError: There is no image at all.
        OutputError: The output folder cannot be written.
        InferenceError: The model or the engine failed.
    """
    images = list_images(options.input)
    output = _prepare_output(options.output, images)
    clock: Dict[str, float] = {"read": 0.0, "draw": 0.0, "write": 0.0}
    found: List[Tuple[str, Detections]] = []
    unreadable = 0
    started = time.perf_counter()
    with Detector(
        options.model, options.engine, chip=options.chip, precision=options.precision, conf=options.conf
    ) as detector:
        clock["load"] = time.perf_counter() - started
        info = detector.engine_info
        print(f"{detector.model.path} on the {info.engine} of {info.chip}")
        try:
            for path in images:
                try:
                    found.append((path.name, _detect_file(path, output, detector, clock)))
                except ImageError as error:
                    unreadable += 1
                    print(f"skipped: {error}", file=sys.stderr)
        finally:
            # Also after a failure or Ctrl-C: what was found until then is whole.
            entries = coco_results(found, detector.class_names)
            _write(output / RESULTS_FILE, (json.dumps(entries, indent=1) + "\n").encode())
        _report(detector, clock, len(found), len(entries), output)
    if unreadable:
        print(f"{unreadable} of {len(images)} images could not be read", file=sys.stderr)
    return unreadable


def list_images(source: Path) -> List[Path]:
    """The images to look at, by name.

    Args:
        source: One image file, or a folder; its sub-folders are not looked into.

    Returns:
        At least one path.

    Raises:
        ImageError: There is no such file or folder, or no image in it.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ImageError(f"there is no image or folder {source}", source)
    images = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not images:
        raise ImageError(f"the folder {source} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})", source)
    return images


def _prepare_output(output: Path, images: List[Path]) -> Path:
    """Make the folder, and find out now rather than after the first image whether it can be written."""
    if output.resolve() == images[0].resolve().parent:
        raise OptionError(f"--output is the images' own folder {output}: the originals would be overwritten")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the output folder {output} cannot be made: {error}", output) from error
    _write(output / RESULTS_FILE, b"[]\n")
    return output


def _detect_file(path: Path, output: Path, detector: Detector, clock: Dict[str, float]) -> Detections:
    """Read, detect, draw and write one image."""
    started = time.perf_counter()
    image = read_image(path)
    read = time.perf_counter()
    detections = detector(image)
    detected = time.perf_counter()
    picture = draw(image, detections, detector.class_names)
    drawn = time.perf_counter()
    _write(output / path.name, _encode(picture, path))
    clock["read"] += read - started
    clock["draw"] += drawn - detected
    clock["write"] += time.perf_counter() - drawn
    print(f"{path.name}: {len(detections)} detections in {detected - read:.2f} s", flush=True)
    return detections


def _encode(picture: np.ndarray, path: Path) -> bytes:
    suffix = path.suffix.lower()
    encoded, data = cv2.imencode(suffix if suffix in IMAGE_SUFFIXES else ".jpg", picture)
    if not encoded:
        raise ImageError(f"the annotated picture of {path} cannot be encoded", path)
    return bytes(data.tobytes())


def _write(path: Path, data: bytes) -> None:
    try:
        atomic_write(path, data)
    except (OSError, ArtifactError) as error:
        raise OutputError(f"{path} cannot be written: {error}", path) from error


def _report(detector: Detector, clock: Dict[str, float], images: int, detections: int, output: Path) -> None:
    print(f"{detections} detections in {images} images; pictures and {RESULTS_FILE} are in {output}")
    if not images:
        return
    times = detector.times
    stages = {
        "read": clock["read"],
        "preprocess": times.preprocess_s,
        "infer": times.infer_s,
        "decode": times.decode_s,
        "draw": clock["draw"],
        "write": clock["write"],
    }
    shown = ", ".join(f"{name} {1000 * seconds / images:.1f}" for name, seconds in stages.items())
    print(f"ms an image: {shown}; loading the model took {clock['load']:.1f} s")
