"""What the commands that sign have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from artifacts import layout
from artifacts.attachments import LayoutPlace, Place, ServerPlace
from artifacts.errors import ArtifactError
from artifacts.reference import Reference
from artifacts.remote.client import RemoteRegistry
from artifacts.signing import Signer
from flows.command import DONE, FAILED
from tasks.signing_key import load_signer


@contextmanager
def place_at(reference: Reference) -> Iterator[Place]:
    """Open a repository for signing.

    Args:
        reference: Where; its name is not looked at.

    Yields:
        The repository.

    Raises:
        LayoutError: The folder is no layout.
        AccessProblem: What is configured for reaching servers cannot be used.
    """
    if reference.kind == "oci":
        layout.tags(reference.place)  # a mistyped folder is not made
        yield LayoutPlace(reference.place)
    else:
        with RemoteRegistry(reference.place, reference.repository, actions="pull,push") as registry:
            yield ServerPlace(registry)


def signers_of(paths: Sequence[Path]) -> list[Signer]:
    """Read private keys.

    Args:
        paths: Their files.

    Raises:
        BadKey: One of them cannot be used.
    """
    return [load_signer(path, os.environ) for path in paths]


def add_reference(parser: argparse.ArgumentParser) -> None:
    """Let a command be told a release."""
    parser.add_argument("reference", metavar="REF", help="oci:FOLDER:TAG, or host/repository:tag or @sha256:...")


def add_keys(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Let a command be told private keys."""
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        required=required,
        metavar="FILE",
        help="private key that signs; may be repeated",
    )


def run(parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace], str], argv: Sequence[str]) -> int:
    """Run a command and say how it went.

    Args:
        parser: Of its arguments.
        work: Takes what was parsed, and returns what to print.
        argv: Arguments without the program's name.

    Returns:
        The exit status: 0 done, 1 failed, with the reason on standard error; wrong usage ends the program with 2.
    """
    options = parser.parse_args(argv)
    try:
        print(work(options))
        return DONE
    except (ArtifactError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
