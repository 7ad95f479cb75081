"""Find tpu-nntc where the settings say that it is, and make the programs by which it is started."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from artifacts.digest import canonical_json, digest_bytes, digest_file, hex_of
from artifacts.files import atomic_write, locked, storage_errors
from artifacts.scratch import scratch_folder, sweep_parts, sweep_scratch
from settings.nntc import OLDEST, NntcSettings, as_numbers
from tasks.errors import ToolchainMissing
from tasks.toolchain.contents import write_contents
from tasks.toolchain.launch import launch
from tasks.toolchain.model import Toolchain
from tasks.toolchain.nntc import launcher
from tasks.toolchain.nntc.command import LIMIT
from tasks.toolchain.run import environment

NAME = "tpu-nntc"

_ASK_S = 60.0
_LOOK_S = 600.0
_THREADS = 2
_LOGS_KEPT_S = 7 * 24 * 3600.0
_ANSWER = "centernet-sophon: "

# For Python 3.6 and later, which is what the vendor's images have.
_LOOK = f"""
import importlib.util, json, shutil
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
try:
    import pkg_resources
    packages = sorted({{"%s==%s" % (one.project_name, one.version) for one in pkg_resources.working_set}})
except ImportError:
    packages = []
lacking = [name for name in ("bmnetp", "ufw.cali.cali_model") if not there(name)]
lacking += [name for name in ("bmnetu",) if shutil.which(name) is None]
print({_ANSWER!r} + json.dumps({{"lacking": lacking, "packages": packages}}))
"""


def provide(settings: NntcSettings, *, root: Path, timeout_s: float = _LOOK_S) -> Toolchain:
    """Return tpu-nntc, which has to be there: it is in no package index and nothing is fetched.

    Looked at each time, since nothing on this machine keeps it from being changed: the image's id, all files of the
    unpacked archive, and the packages of its Python make the fingerprint.

    Args:
        settings: Where it is.
        root: The per-user cache folder, for the programs by which it is started.
        timeout_s: Longest time for a first command, in seconds.

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
    scratch = root / "nntc" / "scratch"
    sweep_scratch(scratch)
    where, programs = _in_image(settings, scratch) if settings.image is not None else _in_place(settings)
    with _readable(settings.folder):
        files = _files(settings.folder)
    facts = {"name": NAME, "version": settings.version, "where": where, "files": files}
    folder = root / "nntc" / f"{settings.version}-{hex_of(digest_bytes(canonical_json([facts, programs])))[:12]}"
    _write(folder, programs)
    found = Toolchain(name=NAME, version=settings.version, fingerprint="", root=str(folder), python="")
    packages = _packages(found, scratch, timeout_s)
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
        raise ToolchainMissing("there is no program docker, which `toolchain.nntc.image` needs")
    image = str(settings.image)
    try:
        with scratch_folder(scratch, "inspect") as home:
            nowhere = Toolchain(name=NAME, version=str(settings.version), fingerprint="", root=str(home), python="")
            asked = subprocess.run(
                [docker, "image", "inspect", "--format", "{{.Id}}", image],
                # As of the commands: else another daemon could be asked than the one that runs them.
                env=environment(nowhere, home, _THREADS),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_ASK_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainMissing(f"docker cannot be asked for the image {image}: {error}") from error
    if asked.returncode != 0 or not asked.stdout.strip():
        said = (asked.stderr.strip().splitlines() or ["nothing"])[-1][:300]
        raise ToolchainMissing(f"docker has no image {image} on this machine, or does not work (it says: {said})")
    identity = asked.stdout.strip()
    return identity, {name: launcher.in_image(name, docker, identity, settings.folder) for name in launcher.PROGRAMS}


def _in_place(settings: NntcSettings) -> tuple[str, Mapping[str, str]]:
    python = Path(str(settings.python))
    if not os.access(python, os.X_OK) or not python.is_file():
        raise ToolchainMissing(f"there is no Python at {python}")
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


def _write(folder: Path, programs: Mapping[str, str]) -> None:
    with locked(folder.with_name(f"{folder.name}.lock")):
        for name, text in programs.items():
            path = folder / "bin" / name
            if not path.is_file() or path.read_text() != text or not os.access(path, os.X_OK):
                atomic_write(path, text.encode())
                path.chmod(0o755)
        write_contents(folder)


def _packages(found: Toolchain, scratch: Path, timeout_s: float) -> list[str]:
    """Ask the Python that tpu-nntc works in what it has; refuse it where something is missing or too old."""
    logs = scratch.with_name("logs")
    # Its own, as another build may look at the same time; kept where something is wrong.
    log_path = logs / f"{Path(found.root).name}-{os.getpid()}-{secrets.token_hex(3)}.log"
    with storage_errors(logs):
        logs.mkdir(parents=True, exist_ok=True)
    sweep_parts(logs, _LOGS_KEPT_S)
    with scratch_folder(scratch, "look") as home, log_path.open("wb") as sink:
        try:
            status = launch(
                [str(found.bin / "python3"), "-c", _LOOK],
                environment={**environment(found, home, _THREADS), LIMIT: f"{timeout_s:.0f}"},
                sink=sink,
                timeout_s=timeout_s,
                folder=home,
            )
        except subprocess.TimeoutExpired:
            raise ToolchainMissing(f"its Python did not answer within {timeout_s:g} s", log_path) from None
    packages = _judged(log_path, status)
    log_path.unlink()
    return packages


def _judged(log_path: Path, status: int) -> list[str]:
    answer = _answer(log_path.read_text(errors="replace"))
    if status != 0 or answer is None:
        raise ToolchainMissing(f"its Python does not start (exit status {status})", log_path)
    if answer["lacking"]:
        raise ToolchainMissing(f"what was named has no {', '.join(answer['lacking'])}", log_path)
    packages = [str(one) for one in answer["packages"]]
    for name, _, version in (one.partition("==") for one in packages):
        if name == "bmnetp" and _is_old(version):
            raise ToolchainMissing(f"its bmnetp is {version}, older than {OLDEST}", log_path)
    return packages


def _answer(log: str) -> dict[str, Any] | None:
    lines = [line.removeprefix(_ANSWER) for line in log.splitlines() if line.startswith(_ANSWER)]
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and {"lacking", "packages"} <= set(answer) else None


def _is_old(version: str) -> bool:
    numbers = [*version.partition("+")[0].split("."), "0", "0"][:3]
    return all(one.isdigit() for one in numbers) and as_numbers(".".join(numbers)) < as_numbers(OLDEST)
