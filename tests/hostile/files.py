"""What may lie under a name that should be a file: nothing, a folder, a pipe, a device without end, too much."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from artifacts.bmodel import read_bmodel
from artifacts.errors import AccessProblem, ArtifactError, BadKey
from artifacts.layout_index import LAYOUT_FILE, load_index
from artifacts.remote.access import Access
from artifacts.signing import load_keys
from inference.annotations import read_annotations
from inference.deploy.store import DeviceStore
from inference.errors import InferenceError
from inference.images import read_image
from inference.model import read_release
from inference.sources import open_source
from settings.errors import SettingsError
from settings.load import load_settings
from tasks.coco import read_dataset
from tasks.errors import MirrorFailure, TaskError
from tasks.image_facts import Candidate, measure
from tasks.network.checkpoint import load_checkpoint
from tasks.sources.archive import take_local
from tasks.sources.lock import LockFile
from tests.fuzz.targets.archive import taken
from tests.fuzz.targets.checkpoint import network
from tests.hostile.case import Case, refused

Make = Callable[[Path], object]


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(3 << 30)


PLACES: dict[str, Make] = {
    "nothing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a file of 3 GiB": _sparse,
    "an empty file": lambda path: path.touch(),
}


def _layout(path: Path) -> object:
    (path.parent / LAYOUT_FILE).write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    return load_index(path.parent)


# The reader, the name that the file needs, and what it declares.
READERS: dict[str, tuple[Make, str, tuple[type[Exception], ...]]] = {
    "image (device)": (read_image, "a.jpg", (InferenceError,)),
    "image (calibration)": (lambda path: measure(Candidate("a.jpg", path)), "a.jpg", (TaskError,)),
    "image or video": (lambda path: [frame() for frame in open_source(path).take(1)], "a.mp4", (InferenceError,)),
    "annotations (device)": (read_annotations, "a.json", (InferenceError,)),
    "annotations (build)": (read_dataset, "a.json", (TaskError,)),
    "checkpoint": (lambda path: load_checkpoint(path, network()), "a.pth", (TaskError,)),
    "bmodel": (read_bmodel, "a.bmodel", (ArtifactError, OSError)),
    "release record": (lambda path: read_release(path.parent), "release.json", (InferenceError,)),
    "device state": (lambda path: DeviceStore(path.parent).state(), "state.json", (InferenceError, OSError)),
    "public keys": (load_keys, "a.pub", (BadKey,)),
    "docker's configuration": (
        lambda path: Access(docker_config=path.parent).credentials("h"),
        "config.json",
        (AccessProblem,),
    ),
    "index of a layout": (_layout, "index.json", (ArtifactError,)),
    "settings": (lambda path: load_settings(path, environ={}), "a.toml", (SettingsError,)),
    "archive": (lambda path: taken(path, take_local), "a.zip", (MirrorFailure,)),
    "lock file": (LockFile, "sources.lock.json", (TaskError,)),
}

# What is no fault: nothing there means nothing known yet, and an empty profile sets nothing.
_FINE = {
    ("device state", "nothing"),
    ("docker's configuration", "nothing"),
    ("index of a layout", "nothing"),
    ("lock file", "nothing"),
    ("settings", "an empty file"),
}


def cases(folder: Path) -> Iterator[Case]:
    """Every reader with everything under the name of its file.

    Args:
        folder: Where they may be made.
    """
    for reader, (read, name, errors) in READERS.items():
        for place, make in PLACES.items():
            if (reader, place) in _FINE:
                continue
            home = folder / f"{reader}-{place}".replace("/", "-")
            yield Case(f"{reader}: {place}", _made(home / name, make, read, errors))


def _made(path: Path, make: Make, read: Make, errors: tuple[type[Exception], ...]) -> Callable[[], None]:
    def run() -> None:
        path.parent.mkdir()
        make(path)
        refused(lambda: read(path), *errors)()

    return run
