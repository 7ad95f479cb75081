"""The command line of the validation on a device."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from artifacts.errors import ArtifactError
from artifacts.evidence import Evidence, evidence_of, summary
from artifacts.reference import parse_reference
from artifacts.registry import open_registry
from artifacts.variant import CHIPS, IOS, PRECISIONS
from flows.command import DONE, FAILED, WRONG_USAGE, carried_out, release_of
from flows.preflight import check_request, workspace_of
from flows.stopping import run_until_stopped
from inference.commands.which_model import positive
from settings.devices import SIMULATOR, nearest_device
from settings.model import Settings
from settings.sources import LabelledFolderSource
from tasks.devices.records import Request, Validated


def run_validate(argv: Sequence[str]) -> int:
    """Run the validation as a command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed, 2 wrong usage, 128 + its number when a signal stopped it.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    if (options.images is None) != (options.annotations is None):
        parser.error("--images and --annotations belong together")
    asked = release_of(options)
    if asked is None:
        return WRONG_USAGE
    settings, reference = asked[0], str(asked[1])
    if options.device not in settings.devices:
        print(nearest_device(options.device, settings.devices), file=sys.stderr)
        return WRONG_USAGE
    if options.list:
        return _list(reference)
    return carried_out("validation", settings, lambda received: _validate(reference, options, settings, received))


def _validate(reference: str, options: argparse.Namespace, settings: Settings, received: list[int]) -> None:
    request = Request(
        reference=reference,
        device=options.device,
        chip=options.chip,
        precision=options.precision,
        batch=options.batch,
        cores=options.cores,
        io=options.io,
        every=options.all,
        source=_source(options),
        limit=options.limit,
        evidence=options.evidence,
    )
    check_request(request, settings)
    # Imported late: Prefect takes seconds, and what is wrong so far should not wait for it.
    from flows.engine import announcing, mark_cancelled, prefect_in, pulse_of_server

    runs: list[str] = []
    with prefect_in(workspace_of(settings)) as server, pulse_of_server() as pulse:

        def work() -> Validated:
            from flows.turns import limit_of_our_own
            from flows.validate import validate

            validated = announcing(validate, runs.append)
            if server is None:
                return validated(request, settings)
            server.wait()
            with limit_of_our_own(request.device):
                return validated(request, settings)

        def farewell() -> None:
            for run in runs:
                mark_cancelled(run)

        spared = () if server is None else (server.pid,)
        done = run_until_stopped(work, received, spared=spared, farewell=farewell, lost=pulse.lost)
        _print(done, reference, attached=request.evidence)


def _source(options: argparse.Namespace) -> LabelledFolderSource | None:
    if options.images is None:
        return None
    folders, annotations = (options.images.absolute(),), (options.annotations.absolute(),)
    return LabelledFolderSource(kind="folder", folders=folders, annotations=annotations)


def _list(reference: str) -> int:
    target = parse_reference(reference)
    try:
        with open_registry(target) as registry:
            digest, _ = registry.resolve(target.name)
            found = evidence_of(registry, digest)
    except ArtifactError as error:
        print(error, file=sys.stderr)
        return FAILED
    print(f"{target} is {digest}\nevidence: {summary(found)}")
    for one in found:
        print(f"  {one.created} {one.device}: {one.variant}: {_accuracy(one)}, {one.place}\n    {one.comparison}")
    return DONE


def _print(done: Validated, reference: str, *, attached: bool) -> None:
    print(f"release {done.version} ({done.digest})")
    for one, path in zip(done.found, done.files, strict=True):
        print(f"  {one.variant}: {_accuracy(one)}, {one.place}\n    {one.comparison}\n    {path}")
    print(f"{'attached' if attached else 'not attached'}; evidence that {reference} has: {done.evidence}")


def _accuracy(one: Evidence) -> str:
    ap = "AP not measured" if one.accuracy is None else f"AP {one.accuracy.ap:.4f}"
    return f"{ap} on {one.protocol.images} images"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.validate",
        description="Run models of a release on a device, and attach what was found to the release as evidence.",
    )
    parser.add_argument(
        "reference", nargs="?", metavar="REF", help="oci:FOLDER:TAG or host/repository:tag (the profile's release)"
    )
    parser.add_argument("--device", default=SIMULATOR, metavar="NAME", help="a device of the settings (%(default)s)")
    parser.add_argument("--profile", default="sample", help="sample, coco, or the path of a .toml file (%(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting; may be repeated"
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="images in place of the profile's evaluation set")
    parser.add_argument("--annotations", type=Path, metavar="FILE.json", help="what is on them, in COCO's layout")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N images by id")
    parser.add_argument("--chip", choices=CHIPS, help="only models for this chip (the device's, where it is known)")
    parser.add_argument("--precision", choices=PRECISIONS, help="only models in this precision")
    parser.add_argument("--batch", type=positive, metavar="N", help="only models that take N images at once")
    parser.add_argument("--cores", type=positive, metavar="N", help="only models for N cores")
    parser.add_argument("--io", choices=IOS, help="only models of this kind of input (float where there are both)")
    parser.add_argument("--all", action="store_true", help="all models that fit, not exactly one")
    parser.add_argument(
        "--no-evidence", dest="evidence", action="store_false", help="attach nothing to the release, such as of a trial"
    )
    parser.add_argument("--list", action="store_true", help="print the evidence that the release has, and stop")
    return parser
