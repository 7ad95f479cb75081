"""Keys and signatures: python -m flows.sign keygen FILE | python -m flows.sign release REF --key FILE"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from artifacts.reference import parse_reference
from artifacts.standard_output import ended
from flows.signing import add_keys, add_reference, place_at, run, signers_of
from tasks.signing import sign_release, subject_at
from tasks.signing_key import PASSPHRASE_VARIABLE, make_key, public_path


def run_sign(argv: Sequence[str]) -> int:
    """Make a key, or sign a release; see `flows.signing.run`."""
    return run(_parser(), lambda options: str(options.work(options)), argv)


def _keygen(options: argparse.Namespace) -> str:
    path: Path = options.file
    key = make_key(path, os.environ)
    return (
        f"private key  {path}, for whoever publishes; keep a copy offline\n"
        f"public key   {public_path(path)}, for the folder keys/ of every device's store\n"
        f"id           {key.id}"
    )


def _sign(options: argparse.Namespace) -> str:
    reference, signers = parse_reference(options.reference), signers_of(options.key)
    with place_at(reference) as place:
        subject = subject_at(place.registry, reference.name)
        news = sign_release(place, subject, signers)
    state = "signed" if news else "was signed already:"
    names = ", ".join(signer.key.id[:12] for signer in signers)
    return f"{state} {subject.record.name} {subject.record.version} {subject.digest} by {names}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.sign", description="Keys and signatures of releases.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    keygen = commands.add_parser(
        "keygen",
        help="make a key pair",
        description=f"Make an Ed25519 key pair. The private key is encrypted when {PASSPHRASE_VARIABLE} is set.",
    )
    keygen.set_defaults(work=_keygen)
    keygen.add_argument("file", type=Path, metavar="FILE", help="the private key; the public one is FILE.pub")
    release = commands.add_parser("release", help="sign a release that was published without a key")
    release.set_defaults(work=_sign)
    add_reference(release)
    add_keys(release, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(ended(run_sign, sys.argv[1:]))
