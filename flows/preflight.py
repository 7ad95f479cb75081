"""What is checked before a build or a validation starts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from artifacts.errors import StoreNotWritable
from artifacts.files import storage_errors
from artifacts.reference import parse_reference
from artifacts.registry import open_registry
from artifacts.signing import verifier_library
from settings.model import Settings
from settings.sources import CocoSource, FolderSource, ImageSource, LabelledSource
from tasks.devices.choice import choose, wish_of
from tasks.devices.records import Request
from tasks.errors import NotEnoughSpace, WrongToolchain
from tasks.folders import check_folders
from tasks.signing_key import load_signer
from tasks.source_files import check_here
from tasks.toolchain.provision import cache_root
from tasks.workspace import Workspace

_COMMANDS = {"tpu-mlir": "python -m flows.build", "tpu-nntc": "python -m flows.build_nntc"}
_FIXED_BYTES = 500_000_000
_BMODEL_BYTES = 20_000_000
_FULL_WIDTH_WEIGHTS_BYTES = 80_000_000


def prepare(settings: Settings, *, toolchain: str = "tpu-mlir") -> Workspace:
    """Open the folders of a build, sweep what killed builds left, and check the disk.

    Args:
        settings: Where the store is and what will be built.
        toolchain: What it will be built with.

    Returns:
        The workspace.

    Raises:
        WrongToolchain: The settings name another one.
        NotEnoughSpace: The disk would become full half way.
        StoreNotWritable: The store cannot be written.
        SignatureError: There is a signing key, and it cannot be used.
        SourceUnavailable: Weights or annotations should be on this machine, and are not.
        ImagesMissing: A folder of images does not exist.
    """
    check_toolchain(settings, toolchain)
    if settings.release.signing_key is not None:
        # It is used at the very end, hours from now.
        load_signer(Path(settings.release.signing_key), os.environ)
        verifier_library()
    workspace = workspace_of(settings)
    try:
        with storage_errors(workspace.store), workspace.content.scratch("preflight") as probe:
            (probe / "written").write_bytes(b"x")
    except OSError as error:  # such as a file where a folder should be
        raise StoreNotWritable(Path(workspace.store), error.strerror or str(error)) from error
    workspace.content.sweep()
    needed, free = needed_bytes(settings), shutil.disk_usage(workspace.store).free
    if free < needed:
        raise NotEnoughSpace(Path(workspace.store), needed, free)
    check_here(settings.weights, workspace)
    _check_images(settings.evaluation.source, workspace)
    if any(variant.precision == "int8" for variant in settings.variants()):
        _check_images(settings.calibration.source, workspace)
    return workspace


def check_toolchain(settings: Settings, toolchain: str = "tpu-mlir") -> None:
    """Refuse settings that name another compiler; nothing but the settings is looked at.

    Args:
        settings: Everything that a build is told.
        toolchain: The compiler that the command or flow builds with.

    Raises:
        WrongToolchain: The settings name another one.
    """
    if settings.toolchain.name != toolchain:
        raise WrongToolchain(settings.toolchain.name, _COMMANDS[settings.toolchain.name])


def check_request(request: Request, settings: Settings) -> None:
    """Look whether a validation can be about what it is asked for, where the release is on this machine.

    Args:
        request: What shall be validated, on a device that the settings have.
        settings: The devices.

    Raises:
        NoSuchVariant: No model fits, or several do where one is wanted.
        UnknownTag: There is no such release.
        LayoutError: It is no whole release.
        StoreError: Bytes are missing or damaged.
        SourceUnavailable: Annotations should be on this machine, and are not.
        ImagesMissing: A folder of images does not exist.
    """
    _check_images(request.source or settings.evaluation.source, workspace_of(settings))
    reference = parse_reference(request.reference)
    if reference.kind == "oci":
        with open_registry(reference) as registry:
            choose(reference, registry, wish_of(request, settings.devices[request.device], None))


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


def _check_images(source: ImageSource | LabelledSource, workspace: Workspace) -> None:
    if isinstance(source, CocoSource):
        check_here(source.instances, workspace)
    elif isinstance(source, FolderSource):
        check_folders(source.folders)
