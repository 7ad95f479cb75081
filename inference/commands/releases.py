"""``releases``: what was pulled onto this device, and what of it is in use."""

from __future__ import annotations

import argparse

from inference.commands.pull import add_store

HELP = "list or verify the releases on this device, or remove the unused ones"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.description = (
        "List the releases in the device store, with the digest of each. With --prune, first remove those that are "
        "neither current nor previous. With --verify, hash what is there. Exit status: 0 done, 1 failed or not all is "
        "as it should be, 2 wrong usage."
    )
    parser.add_argument("--prune", action="store_true", help="remove what is neither current nor previous")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="hash every file of the releases, and say what is no longer what was pulled",
    )
    parser.add_argument(
        "--vendor",
        action="store_true",
        help="say for each model which of the vendor's sample programs run it, and why not the others",
    )
    parser.add_argument(
        "--model", metavar="FOLDER|FILE|REF", help="with --vendor: say it of this release, wherever it lies"
    )
    add_store(parser)


def run(options: argparse.Namespace) -> bool:
    """Do it.

    Args:
        options: The arguments.

    Returns:
        Whether nothing was found to be wrong.

    Raises:
        OptionError: ``--model`` without ``--vendor``, or with more.
        InferenceError: The store is damaged, or a pull is at work.
        ArtifactError: The store cannot be written.
    """
    from inference.deploy.commands import list_releases
    from inference.errors import OptionError

    if options.model is not None and (not options.vendor or options.prune or options.verify):
        raise OptionError("--model names the release that --vendor tells about, and goes with that alone")
    return list_releases(options)
