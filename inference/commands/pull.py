"""``pull``: fetch a release onto this device, test it, put it to use."""

from __future__ import annotations

import argparse
from pathlib import Path

from inference.engines import ENGINE_NAMES

HELP = "fetch a release, test it on this device, and put it to use"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.description = (
        "Fetch the model that fits this device out of a release, verify every byte, run the release's golden images "
        "through it, and only then switch to it. Safe to repeat and to kill. Exit status: 0 done, 1 failed and the "
        "release in use stays, 2 wrong usage."
    )
    parser.add_argument("reference", metavar="REF", help="oci:FOLDER:TAG, or host/repository:tag or @sha256:...")
    parser.add_argument("--chip", metavar="CHIP", help="BM1684, BM1684X or BM1688 (this machine's, where it has one)")
    parser.add_argument("--precision", metavar="PRECISION", help="fp32, fp16 or int8")
    parser.add_argument("--batch", type=int, metavar="N", help="images that the model takes at once")
    parser.add_argument("--cores", type=int, metavar="N", help="cores that the model runs on")
    parser.add_argument(
        "--io", metavar="IO", help="float (first where there are both), or raw: takes pixels as they are"
    )
    parser.add_argument("--all", action="store_true", help="take all models that fit, not exactly one")
    add_store(parser)
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="FILE|DIR",
        help="take only releases signed by these public keys ($CENTERNET_KEYS, else keys/*.pub in the device store)",
    )
    parser.add_argument("--signed-as", metavar="NAME", help="repository that the signatures name, where this is a copy")
    parser.add_argument(
        "--expired", choices=("refuse", "warn"), default="refuse", help="a channel's record past its date (%(default)s)"
    )
    parser.add_argument("--no-self-test", action="store_true", help="switch without running the golden images")
    parser.add_argument("--no-activate", action="store_true", help="only fetch: neither test nor switch")
    parser.add_argument("--engine", choices=ENGINE_NAMES, default="auto", help="what runs the test (%(default)s)")


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the device store."""
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="the device store ($CENTERNET_DEVICE_STORE, else /var/lib/centernet-sophon, else the user's data folder)",
    )


def run(options: argparse.Namespace) -> bool:
    """Do it.

    Args:
        options: The arguments.

    Returns:
        True.

    Raises:
        InferenceError: It failed; the release in use stays.
        ArtifactError: The registry or the store failed; the release in use stays.
    """
    from inference.deploy.commands import pull_release

    pull_release(options)
    return True
