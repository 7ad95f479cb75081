"""What is checked before a build starts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from artifacts.errors import StoreNotWritable
from artifacts.signing import verifier_library
from settings.model import Settings
from tasks.errors import NotEnoughSpace
from tasks.signing_key import load_signer
from tasks.toolchain.provision import cache_root
from tasks.workspace import Workspace

_FIXED_BYTES = 500_000_000
_BMODEL_BYTES = 20_000_000
_FULL_WIDTH_WEIGHTS_BYTES = 80_000_000


def prepare(settings: Settings) -> Workspace:
    """Open the folders of a build, sweep what killed builds left, and check the disk.

    Args:
        settings: Where the store is and what will be built.

    Returns:
        The workspace.

    Raises:
        NotEnoughSpace: The disk would become full half way.
        StoreNotWritable: The store cannot be written.
        SignatureError: There is a signing key, and it cannot be used.
    """
    if settings.release.signing_key is not None:
        # It is used at the very end, hours from now.
        load_signer(Path(settings.release.signing_key), os.environ)
        verifier_library()
    workspace = workspace_of(settings)
    try:
        with workspace.content.scratch("preflight") as probe:
            (probe / "written").write_bytes(b"x")
    except OSError as error:  # such as a file where a folder should be
        raise StoreNotWritable(Path(workspace.store), error.strerror or str(error)) from error
    workspace.content.sweep()
    needed, free = needed_bytes(settings), shutil.disk_usage(workspace.store).free
    if free < needed:
        raise NotEnoughSpace(Path(workspace.store), needed, free)
    return workspace


def workspace_of(settings: Settings) -> Workspace:
    """Return the folders that the settings name; nothing is made or looked at."""
    return Workspace(store=str(settings.store.path.absolute()), cache=str(cache_root()))


def needed_bytes(settings: Settings) -> int:
    """Estimate how much disk a build takes at most, in bytes.

    Each variant is a bmodel with its firmware, the compiler's working copy of the weights and what it writes beside
    them; the calibration samples are float32 tensors that lie on disk at once.
    """
    weights = int(_FULL_WIDTH_WEIGHTS_BYTES * settings.network.width**2)
    samples = settings.calibration.count * 3 * settings.preprocess.width * settings.preprocess.height * 4
    return _FIXED_BYTES + samples + len(settings.variants()) * (_BMODEL_BYTES + 3 * weights)
