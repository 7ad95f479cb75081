"""One file for a machine without a network: python -m flows.bundle build | device | compare"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from artifacts.environment import shut_to_others
from artifacts.errors import ArtifactError
from artifacts.reference import parse_reference
from flows.command import DONE, FAILED, WRONG_USAGE
from flows.preflight import workspace_of
from settings.errors import SettingsError
from settings.load import load_settings
from tasks.bundle.make import Made, build_bundle, device_bundle
from tasks.bundle.packages import DEVICE_GLIBC, Target
from tasks.bundle.release import compare, expected_of, read_expected, told
from tasks.errors import TaskError

_LATEST = "oci:build/registry/centernet:latest"


def run_bundle(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 done, 1 failed or bmodels differ, 2 wrong usage.
    """
    options = _parser().parse_args(argv)
    shut_to_others()
    try:
        return int(options.run(options))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    except (TaskError, ArtifactError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED


def _build(options: argparse.Namespace) -> int:
    # Nothing of this machine's environment: what the profile says is what the other machine will do.
    settings = load_settings(options.profile, environ={})
    beside = None if options.beside is None else parse_reference(options.beside)
    made = build_bundle(settings, options.profile, workspace_of(settings), options.output, beside=beside)
    _tell(made, options.output)
    print(f"there: make build BUNDLE={options.output.name}")
    return DONE


def _device(options: argparse.Namespace) -> int:
    target = Target(options.python, options.machine, options.glibc)
    _tell(device_bundle(parse_reference(options.release), target, options.output), options.output)
    print(f"there: mkdir bundle && tar -xf {options.output.name} -C bundle && python{options.python} bundle/install.py")
    return DONE


def _compare(options: argparse.Namespace) -> int:
    found = compare(read_expected(options.expected), expected_of(parse_reference(options.release)))
    print(told(found))
    return FAILED if found.different or found.missing else DONE


def _tell(made: Made, output: Path) -> None:
    manifest = made.manifest
    pythons = ", ".join(f"Python {version} ({name})" for name, version in sorted(manifest.pythons.items()))
    print(f"{output}: {len(manifest.files)} files, {made.size / 1e9:.2f} GB; for {manifest.machine}, {pythons}")


def _version(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,2}\.[0-9]{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no version such as 3.8")
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
    device.add_argument("--python", type=_version, default="3.8", metavar="X.Y", help="the board's (%(default)s)")
    device.add_argument("--machine", type=_machine, default="aarch64", help="aarch64 or x86_64 (%(default)s)")
    device.add_argument(
        "--glibc", type=_version, default=DEVICE_GLIBC, metavar="X.Y", help="its C library, or older (%(default)s)"
    )
    device.add_argument("--release", default=_LATEST, metavar="REF", help="(%(default)s)")
    device.add_argument(
        "--output", type=Path, default=Path("build/device-bundle.tar"), metavar="FILE", help="(%(default)s)"
    )
    device.set_defaults(run=_device)
    compared = commands.add_parser("compare", help="whether a build made the very bmodels that the bundle expects")
    compared.add_argument("--expected", type=Path, default=Path("build/bundle/expected.json"), metavar="FILE")
    compared.add_argument("--release", default=_LATEST, metavar="REF", help="what was built here (%(default)s)")
    compared.set_defaults(run=_compare)
    return parser


if __name__ == "__main__":
    sys.exit(run_bundle(sys.argv[1:]))
