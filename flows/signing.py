"""What the commands that sign have in common."""

from __future__ import annotations

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
from tasks.signing_key import load_signer

DONE, FAILED = 0, 1


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


def reported(work: Callable[[], str]) -> int:
    """Do some work and say how it went.

    Args:
        work: Returns what to print.

    Returns:
        The exit status: 0 done, 1 failed, with the reason on standard error.
    """
    try:
        print(work())
        return DONE
    except (ArtifactError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
