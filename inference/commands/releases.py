"""``releases``: what was pulled onto this device, and what of it is in use."""

from __future__ import annotations

import argparse

from inference.commands.pull import add_store

HELP = "list the releases on this device, or remove the unused ones"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.description = (
        "List the releases in the device store, with the digest of each. With --prune, first remove those that are "
        "neither current nor previous. Exit status: 0 done, 1 failed, 2 wrong usage."
    )
    parser.add_argument("--prune", action="store_true", help="remove what is neither current nor previous")
    add_store(parser)


def run(options: argparse.Namespace) -> bool:
    """Do it.

    Args:
        options: The arguments.

    Returns:
        True.

    Raises:
        InferenceError: The store is damaged, or a pull is at work.
        ArtifactError: The store cannot be written.
    """
    from inference.deploy.commands import list_releases

    list_releases(options)
    return True
