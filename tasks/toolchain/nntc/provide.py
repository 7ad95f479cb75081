"""Find tpu-nntc where the settings say that it is, and make the programs by which it is started."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from artifacts.digest import canonical_json, digest_bytes, digest_file, hex_of
from artifacts.scratch import scratch_folder, sweep_scratch
from settings.nntc import NntcSettings
from tasks.errors import ToolchainMissing
from tasks.toolchain.model import Toolchain
from tasks.toolchain.nntc import launcher, programs
from tasks.toolchain.nntc.look import THREADS, packages_of
from tasks.toolchain.run import environment

log = logging.getLogger(__name__)

NAME = "tpu-nntc"

_ASK_S = 60.0
_LOOK_S = 60.0
_LOOK_IN_IMAGE_S = 120.0
"""With the start of a container."""

_NO_IMAGE = ("no such image", "no such object", "image not known")
"""What docker, and podman in its name, say of an image that they do not have."""

_DOCKER = (
    "Start docker (systemctl start docker), or let this user use it (group docker): `docker info` has to work without "
    "DOCKER_HOST and contexts, which are not used here."
)


def provide(settings: NntcSettings, *, root: Path, timeout_s: float | None = None) -> Toolchain:
    """Return tpu-nntc, which has to be there: it is in no package index and nothing is fetched.

    Looked at each time, since nothing on this machine keeps it from being changed: the image's id, all files of the
    unpacked archive, and the packages of its Python make the fingerprint.

    Args:
        settings: Where it is.
        root: The per-user cache folder, for the programs by which it is started.
        timeout_s: Longest time for a first command, in seconds; None takes what a look needs at most.

    Returns:
        The toolchain.

    Raises:
        ToolchainMissing: There is no docker, image, Python or archive where the settings say, its modules cannot be
            imported there, or it is too old.
        StoreNotWritable: The cache folder cannot be written.
    """
    if settings.lacks is not None or settings.version is None:
        raise ToolchainMissing(f"`toolchain.nntc` {settings.lacks}")
    with _readable(settings.folder):
        if settings.folder is not None and not (settings.folder / launcher.SETUP).is_file():
            raise ToolchainMissing(f"{settings.folder} holds no {launcher.SETUP}, so it is no unpacked archive of it")
    in_image = settings.image is not None
    log.info("looking at %s %s in %s", NAME, settings.version, settings.image if in_image else settings.python)
    scratch = root / "nntc" / "scratch"
    sweep_scratch(scratch)
    programs.sweep(root / "nntc")
    where, texts = _in_image(settings, scratch) if in_image else _in_place(settings)
    with _readable(settings.folder):
        files = _files(settings.folder)
    facts = {"name": NAME, "version": settings.version, "where": where, "files": files}
    folder = root / "nntc" / f"{settings.version}-{hex_of(digest_bytes(canonical_json([facts, texts])))[:12]}"
    programs.write(folder, texts)
    found = Toolchain(name=NAME, version=settings.version, fingerprint="", root=str(folder), python="")
    if timeout_s is None:
        timeout_s = _LOOK_IN_IMAGE_S if in_image else _LOOK_S
    packages = packages_of(found, settings, scratch, timeout_s)
    return found.model_copy(
        update={
            "fingerprint": digest_bytes(canonical_json({**facts, "packages": packages})),
            "python": str(found.bin / "python3"),
        }
    )


@contextmanager
def _readable(folder: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ToolchainMissing(f"the unpacked archive {folder} cannot be read to its end: {error}") from error


def _in_image(settings: NntcSettings, scratch: Path) -> tuple[str, Mapping[str, str]]:
    docker = shutil.which("docker")
    if docker is None:
        reason = "there is no program docker, which `toolchain.nntc.image` needs"
        raise ToolchainMissing(reason, way_out="Install docker, or name a Python in `toolchain.nntc.python`.")
    image = str(settings.image)
    try:
        with scratch_folder(scratch, "inspect") as home:
            nowhere = Toolchain(name=NAME, version=str(settings.version), fingerprint="", root=str(home), python="")
            asked = subprocess.run(
                [docker, "image", "inspect", "--format", "{{.Id}}", image],
                # As of the commands: else another daemon could be asked than the one that runs them.
                env=environment(nowhere, home, THREADS),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_ASK_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainMissing(f"docker cannot be asked for the image {image}: {error}", way_out=_DOCKER) from error
    if asked.returncode != 0 or not asked.stdout.strip():
        said = (asked.stderr.strip().splitlines() or ["nothing"])[-1][:300]
        if any(words in asked.stderr.casefold() for words in _NO_IMAGE):
            raise ToolchainMissing(f"docker has no image {image} on this machine (it says: {said})")
        raise ToolchainMissing(f"docker does not work (it says: {said})", way_out=_DOCKER)
    identity = asked.stdout.strip()
    return identity, {name: launcher.in_image(name, docker, identity, settings.folder) for name in launcher.PROGRAMS}


def _in_place(settings: NntcSettings) -> tuple[str, Mapping[str, str]]:
    python = Path(str(settings.python))
    reason = None
    if not python.exists():
        reason = f"there is no {python}"
    elif not python.is_file():
        reason = f"{python} is no program" + (" but a folder" if python.is_dir() else "")
    elif not os.access(python, os.X_OK):
        reason = f"{python} is not executable by this user"
    if reason is not None:
        way_out = (
            "Name in `toolchain.nntc.python` the Python that has tpu-nntc's modules, such as /opt/nntc/bin/python3."
        )
        raise ToolchainMissing(reason, way_out=way_out)
    return str(python), {name: launcher.in_place(name, python, settings.folder) for name in launcher.PROGRAMS}


def _files(folder: Path | None) -> str | None:
    """Return a digest over the unpacked archive, by name and content; of a link, over where it leads."""
    if folder is None:
        return None
    found = {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else digest_file(path)
        for path in _walked(folder)
        if path.is_symlink() or path.is_file()
    }
    return digest_bytes(canonical_json(found))


def _walked(folder: Path) -> Iterator[Path]:
    """Go through all that is below a folder, in no order; `rglob` leaves out what it may not look into."""

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=fail):
        yield from (Path(parent) / name for name in (*folders, *files))
