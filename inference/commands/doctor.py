"""``doctor``: what this machine has, and what fits it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple

HELP = "say what this machine has for running a model, and what is missing"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.description = (
        "Look at packages, driver, the vendor's runtime, devices and simulator, and say how to get what "
        "is missing. Changes nothing. With --compare, run a model on images that are prepared on the host and on the "
        "device, and say how far the two are apart. Exit status: 0 a model can run here (with --model: that one; with "
        "--compare: and the device does what is documented), 1 none can, 2 wrong usage."
    )
    parser.add_argument("--model", metavar="FOLDER|FILE|REF", help="say what of this release would run here")
    parser.add_argument("--compare", type=Path, metavar="IMAGE|FOLDER", help="compare --preprocess bmcv with host")
    parser.add_argument("--device", type=int, default=0, metavar="N", help="on which TPU it compares (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(options: argparse.Namespace) -> bool:
    """Do it.

    Args:
        options: The arguments.

    Returns:
        Whether a model, the one asked about if one was, can run here.
    """
    from inference.doctor import examine

    with _native_output_aside():
        examination = examine()
        model, problem = _model(options.model, examination)
        comparison = None
        if options.compare is not None:
            # Before the device: a mistyped name should not show only where there is one.
            problem = _images_problem(options.compare) or problem
            if problem is None:
                comparison, problem = _compared(options, examination)
    if options.json:
        said = {"engine": examination.engine, "model": model, "problem": problem}
        if comparison is not None:
            said["comparison"] = comparison.model_dump()
        print(json.dumps({"findings": [one._asdict() for one in examination.findings], **said}))
    else:
        _print(examination, model, problem, comparison, compares=options.compare is not None)
    return examination.engine is not None and problem is None and (comparison is None or comparison.as_documented)


@contextmanager
def _native_output_aside() -> Iterator[None]:
    """Let what the vendor's libraries print go to standard error: standard output is for the answer."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _model(name: Optional[str], examination: Any) -> Tuple[Optional[Dict[str, Any]], Optional[str]]:
    """The model that would run, or why none would; neither where none was asked about."""
    if name is None:
        return None, None
    if examination.engine is None:
        return None, "nothing can run a model here: see what is missing above"
    # Only now: an engine means that what these import is there.
    from artifacts.errors import ArtifactError
    from inference.doctor import fitting_model
    from inference.errors import InferenceError

    try:
        return fitting_model(name, examination), None
    except (InferenceError, ArtifactError) as error:
        return None, str(error)


def _images_problem(images: Path) -> Optional[str]:
    """Why there is nothing to compare on, or None where at least one image can be read."""
    try:
        from inference.errors import ImageError
        from inference.side_by_side import readable_image
    except ImportError:  # a package is missing, which is said above
        return None
    try:
        readable_image(images)
    except ImageError as error:
        return str(error)
    return None


def _compared(options: argparse.Namespace, examination: Any) -> Tuple[Any, Optional[str]]:
    """The two ways to prepare images beside each other, or why that cannot be."""
    if examination.engine != "sail":
        return None, "there is no device to compare on: see what is missing above"
    from artifacts.errors import ArtifactError
    from inference.deploy.local import local_release
    from inference.errors import InferenceError
    from inference.side_by_side import compare

    try:
        return compare(local_release(options.model), options.compare, device=options.device), None
    except (InferenceError, ArtifactError) as error:
        return None, str(error)


def _print(
    examination: Any, model: Optional[Dict[str, Any]], problem: Optional[str], comparison: Any, *, compares: bool
) -> None:
    for one in examination.findings:
        print(f"{one.state:8} {one.topic:16} {one.value}")
        if one.advice:
            print(f"{'':25} -> {one.advice}")
    print()
    if examination.engine is None:
        print("No engine can run a model here.")
    else:
        chip = f" on a {examination.chip}" if examination.chip else ""
        print(f"A model would run in {examination.engine}{chip}.")
    if model is not None:
        print(f"Of {model['release']} {model['version']} it is {model['variant']} ({model['digest']}).")
    if comparison is not None:
        from inference.side_by_side import text

        print(text(comparison))
    elif problem is not None:
        what = "Nothing was compared" if compares else "The model asked about cannot"
        print(f"{what}: {problem}")
