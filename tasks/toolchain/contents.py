"""What the files of a compiler's environment should be, so that one that decayed is found.

The fingerprint names the packages; it does not hash them. When an environment is finished, the digest of every file is
written beside it. Of one that an older program made, the packages' own lists (RECORD, PEP 376) tell less: not the
bytecode, and not what the environment itself is made of.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from artifacts.checking import Problem, Told, Wanted, check_files
from artifacts.digest import digest_file
from artifacts.files import atomic_write
from tasks.errors import ToolchainDecayed
from tasks.seal import Unsealed, seal, unsealed
from tasks.toolchain.model import Toolchain

CONTENTS = "contents.json"
READY = "ready.json"

_ITS_OWN = (CONTENTS, READY)
_ASIDE = "set-aside"  # where `tasks.toolchain.quirks` moves the bundled C library

_checked: set[str] = set()
_checking = threading.Lock()


def write_contents(folder: Path) -> None:
    """Write down what all files of a finished environment are.

    Args:
        folder: The environment.

    Raises:
        StoreNotWritable: It cannot be written.
        NoSpace: The disk is full.
    """
    found = {
        path.relative_to(folder).as_posix(): [path.stat().st_size, digest_file(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.relative_to(folder).as_posix() not in _ITS_OWN
    }
    atomic_write(folder / CONTENTS, seal(json.dumps(found).encode()))


def check_contents(
    folder: Path, told: Told | None = None, within: Callable[[Path], bool] = lambda path: True
) -> tuple[int, list[Problem]]:
    """Hash the files of an environment.

    Args:
        folder: The environment.
        told: Called with the bytes of each when it was looked at.
        within: Which of its files are looked at.

    Returns:
        How many files were looked at, and what is wrong.
    """
    try:
        wanted = list(_by_contents(folder) if (folder / CONTENTS).exists() else _by_records(folder))
    except (OSError, ValueError, TypeError) as error:
        return 0, [Problem(folder / CONTENTS, f"what its files should be cannot be read: {error}")]
    wanted = [one for one in wanted if within(one.path) and not _switched(one.path)]
    return len(wanted), check_files(wanted, told)


def check_before_use(toolchain: Toolchain) -> None:
    """Hash the compiler's own files, once a process, before its first command.

    Those of the packages beside it, five times as many bytes, are left to `flows.verify_store` (decision 19).

    Args:
        toolchain: The compiler.

    Raises:
        ToolchainDecayed: Files are not what was installed. It is not used again, but installed anew by the next build.
    """
    folder = Path(toolchain.root)
    with _checking:
        if str(folder) in _checked:
            return
        _, problems = check_contents(folder, within=lambda path: "tpu_mlir" in path.parts or path.parent.name == "bin")
        if problems:
            (folder / READY).unlink(missing_ok=True)
            raise ToolchainDecayed(f"{toolchain.name} {toolchain.version}", problems)
        _checked.add(str(folder))


def _switched(path: Path) -> bool:
    # The compiler makes of one of its libraries a link to that of the chip at hand, at each start.
    return path.is_symlink() and path.parent.name == "lib" and "tpu_mlir" in path.parts


def _by_contents(folder: Path) -> Iterator[Wanted]:
    try:
        listed = json.loads(unsealed((folder / CONTENTS).read_bytes()))
    except Unsealed as error:
        raise ValueError(f"{folder / CONTENTS}: {error}") from error
    for name, (size, digest) in listed.items():
        yield Wanted(folder / name, digest, size)


def _by_records(folder: Path) -> Iterator[Wanted]:
    for packages in sorted(folder.glob("lib/python3*/site-packages")):
        for record in sorted(packages.glob("*.dist-info/RECORD")):
            with record.open(newline="", encoding="utf-8") as stream:
                for name, digest, size in csv.reader(stream):
                    if digest.startswith("sha256="):
                        path, text = packages / name, digest.removeprefix("sha256=")
                        aside = path.parent / _ASIDE / path.name
                        hexadecimal = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
                        found = aside if aside.exists() and not path.exists() else path
                        whole = Path(os.path.normpath(found))
                        yield Wanted(whole, f"sha256:{hexadecimal}", int(size) if size else None)
