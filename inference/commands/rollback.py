"""``rollback``: go back to the release that was in use before."""

from __future__ import annotations

import argparse

from inference.commands.pull import add_store

HELP = "go back to the release that was in use before"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.description = (
        "Make the previous release the current one, and the other way round: a second time undoes it. Needs no "
        "network. Exit status: 0 done, 1 failed and the release in use stays, 2 wrong usage."
    )
    add_store(parser)


def run(options: argparse.Namespace) -> bool:
    """Do it.

    Args:
        options: The arguments.

    Returns:
        True.

    Raises:
        InferenceError: There is nothing to go back to.
        ArtifactError: The store cannot be written.
    """
    from inference.deploy.commands import roll_back

    roll_back(options)
    return True
