"""One file for a machine without a network: python -m flows.bundle build | device | compare"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.version import Version

from artifacts.digest import hex_of
from artifacts.environment import shut_to_others
from artifacts.errors import ArtifactError, BadReference
from artifacts.reference import parse_reference
from artifacts.standard_output import ended
from flows.command import DONE, FAILED, WRONG_USAGE, add_settings, release_of
from flows.preflight import workspace_of
from flows.stopping import Stopped, ended_by_signals
from settings.errors import SettingsError
from settings.load import load_settings
from tasks.bundle.make import Made, Origin, build_bundle, device_bundle
from tasks.bundle.packages import DEVICE_GLIBC, GLIBCS, PYTHONS, Target, nearest_glibc
from tasks.bundle.release import compare, expected_of, read_expected, told
from tasks.errors import TaskError
from tasks.ladder.text import DEMONSTRATION
from tasks.signing import Subject


def run_bundle(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed or bmodels differ, 2 wrong usage, 128 + its number when a signal stopped it.
    """
    options = _parser().parse_args(argv)
    shut_to_others()
    try:
        with ended_by_signals():
            return int(options.run(options))
    except Stopped as stopped:
        print(f"The bundle was {stopped}. What was fetched is kept, the next run goes on there.", file=sys.stderr)
        return stopped.exit_status
    except (SettingsError, BadReference) as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    except (TaskError, ArtifactError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED


def _build(options: argparse.Namespace) -> int:
    # Of this machine's environment nothing but what `~` is: what the profile says is what the other machine will do.
    settings = load_settings(options.profile, environ={"HOME": str(Path.home())})
    beside = None if options.beside is None else parse_reference(options.beside)
    made = build_bundle(settings, options.profile, workspace_of(settings), options.output, beside=beside)
    _tell(made, options.output)
    print(f"there: make build BUNDLE={options.output.name}")
    return DONE


def _device(options: argparse.Namespace) -> int:
    asked = release_of(options)
    if asked is None:
        return WRONG_USAGE
    settings, release = asked
    target = Target(options.python, options.machine, options.glibc)
    origin = None if options.reference else Origin(options.profile, settings)
    made = device_bundle(release, target, options.output, origin=origin)
    _tell(made, options.output)
    print(f"there: mkdir bundle && tar -xf {options.output.name} -C bundle && python{options.python} bundle/install.py")
    if made.release is not None:
        print(_about(made.release))
    return DONE


def _compare(options: argparse.Namespace) -> int:
    asked = release_of(options)
    if asked is None:
        return WRONG_USAGE
    if options.settings:
        return DONE
    found = compare(read_expected(options.expected), expected_of(asked[1]))
    print(told(found))
    return FAILED if found.different or found.missing else DONE


def _tell(made: Made, output: Path) -> None:
    manifest = made.manifest
    pythons = ", ".join(f"Python {version} ({name})" for name, version in sorted(manifest.pythons.items()))
    print(f"{output}: {len(manifest.files)} files, {made.file.size / 1e9:.2f} GB; for {manifest.machine}, {pythons}")
    print(f"SHA-256 of the file: {hex_of(made.file.digest)}")


def _about(release: Subject) -> str:
    record = release.record
    said = f"it holds {record.name} {record.version}, {release.digest}"
    return f"{said}. {DEMONSTRATION}" if record.demonstration else said


def _python(text: str) -> str:
    if text not in PYTHONS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(PYTHONS)}, which a bundle can be for")
    return text


def _glibc(text: str) -> str:
    if not re.fullmatch(r"2\.[0-9]{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no version of the C library such as 2.31 (ldd --version)")
    if text not in GLIBCS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of {', '.join(GLIBCS)}, which packages are looked up for: name the newest of these that "
            f"is not newer than the board's, {nearest_glibc(text)}"
            if Version(text) > Version(GLIBCS[0])
            else f"{text!r} is older than {GLIBCS[0]}, and no package of the device side runs with that"
        )
    return text


def _machine(text: str) -> str:
    if text not in ("aarch64", "x86_64"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither aarch64 nor x86_64")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.bundle", description="One file for a place without network.")
    commands = parser.add_subparsers(required=True)
    build = commands.add_parser("build", help="packages, weights and images that a build takes")
    build.add_argument("--profile", default="sample", help="sample, coco, or the path of a .toml file (%(default)s)")
    build.add_argument("--output", type=Path, default=Path("build/bundle.tar"), metavar="FILE", help="(%(default)s)")
    build.add_argument(
        "--beside", metavar="REF", help="a release built from the same settings: its digests travel along"
    )
    build.set_defaults(run=_build)
    device = commands.add_parser("device", help="a release, and the packages that a board installs")
    device.add_argument("--python", type=_python, default="3.8", metavar="X.Y", help="the board's (%(default)s)")
    device.add_argument("--machine", type=_machine, default="aarch64", help="aarch64 or x86_64 (%(default)s)")
    device.add_argument(
        "--glibc", type=_glibc, default=DEVICE_GLIBC, metavar="X.Y", help="its C library, or older (%(default)s)"
    )
    _add_release(device)
    device.add_argument(
        "--output", type=Path, default=Path("build/device-bundle.tar"), metavar="FILE", help="(%(default)s)"
    )
    device.set_defaults(run=_device)
    compared = commands.add_parser("compare", help="whether a build made the very bmodels that the bundle expects")
    compared.add_argument("--expected", type=Path, default=Path("build/bundle/expected.json"), metavar="FILE")
    _add_release(compared)
    # `make build` hands over what it was given for the build.
    compared.add_argument("--explain", action="store_true", help=argparse.SUPPRESS)
    compared.add_argument("--settings", action="store_true", help=argparse.SUPPRESS)
    compared.set_defaults(run=_compare)
    return parser


def _add_release(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)
    parser.add_argument("--release", dest="reference", metavar="REF", help="(the profile's own, latest)")


if __name__ == "__main__":
    sys.exit(ended(run_bundle, sys.argv[1:]))
