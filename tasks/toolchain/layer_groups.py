"""What the compiler's layer-group search found, kept between compiles: the search is nine tenths of a compile's time.

The compiler reads and writes one small file a graph, in place, and believes what it finds: half a file compiles, with
exit status 0, into another bmodel. So a command works on copies, and an entry is only lent while its bytes are those
whose digest is part of its name.
"""

from __future__ import annotations

import re
from pathlib import Path

from artifacts.digest import digest_bytes, hex_of
from artifacts.files import atomic_write, storage_errors

_ENTRY = re.compile(r"(?P<name>[0-9]+)\.(?P<digest>[0-9a-f]{64})")
_NAME = re.compile(r"[0-9]+")


def lend(shared: Path, private: Path) -> None:
    """Copy the sound entries of the shared folder to where a command will look for them.

    Args:
        shared: Folder of the entries of one toolchain; need not exist.
        private: Folder to make, in the command's scratch folder.

    Raises:
        NoSpace: The file system is full.
    """
    with storage_errors(private):
        private.mkdir()
        for path in sorted(shared.glob("*")):
            entry = _ENTRY.fullmatch(path.name)
            if entry is None:
                continue
            data = path.read_bytes()
            if hex_of(digest_bytes(data)) == entry["digest"]:
                (private / entry["name"]).write_bytes(data)


def take_back(private: Path, shared: Path) -> None:
    """Keep what a command that succeeded has added.

    Args:
        private: The folder that was lent.
        shared: Folder of the entries of one toolchain; made when missing.

    Raises:
        NoSpace: The file system is full.
        StoreNotWritable: The shared folder cannot be written.
    """
    for path in sorted(private.glob("*")):
        if not _NAME.fullmatch(path.name) or not path.is_file():
            continue
        data = path.read_bytes()
        kept = shared / f"{path.name}.{hex_of(digest_bytes(data))}"
        if data and not (kept.is_file() and kept.read_bytes() == data):
            atomic_write(kept, data)
