"""A device store that decays: `releases --verify` names it, nothing wrong is run, and a pull puts it right."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from artifacts.errors import ArtifactError
from inference.__main__ import main
from inference.deploy.local import local_release
from inference.deploy.store import DeviceStore
from inference.deploy.verify import verify
from inference.errors import InferenceError
from inference.model import find_model
from tests.artifacts.damage import KINDS, decay
from tests.inference.deploy.support import publish, pulled

Capture = pytest.CaptureFixture[str]


class Device:
    """A device with two releases, and what is in its store."""

    def __init__(self, folder: Path) -> None:
        self.store = DeviceStore(folder / "device")
        self.references = [publish(folder, version) for version in ("1.0.0", "1.1.0")]
        self.pull()
        self.there = {path: path.read_bytes() for path in self.files()}
        self.digests = {name: path.read_bytes() for name, path in self.current().items()}

    def files(self) -> List[Path]:
        paths = sorted(path for path in self.store.root.rglob("*") if path.is_file() and not path.is_symlink())
        return [path for path in paths if "lock" not in path.name]

    def pull(self) -> None:
        for reference in self.references:
            pulled(reference, self.store)

    def current(self) -> Dict[str, Path]:
        folder = self.store.root / "current"
        return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}

    def runs_nothing_wrong(self) -> bool:
        """Whether what detection would load is what was published, or is refused."""
        try:
            found = find_model(local_release(store=self.store.root))
        except (InferenceError, ArtifactError, OSError):
            return True
        return found.path.read_bytes() == self.digests[found.variant.path]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def misses(device: Device, path: Path, kind: str, chance: random.Random) -> List[str]:
    """Let one file decay; returns what a user would miss."""
    lost = []
    name = path.relative_to(device.store.root).as_posix()
    shared = path.stat().st_ino
    before = path.read_bytes()
    decay(path, kind, chance)
    named = [problem.path for problem in verify(device.store)]
    if path not in named:
        lost.append(f"{name}, {kind}: not named")
    if not device.runs_nothing_wrong():
        lost.append(f"{name}, {kind}: wrong bytes would be run")
    try:
        device.pull()
    except (InferenceError, ArtifactError, OSError) as error:
        # A folder in a file's place, or a state that cannot be read: somebody has to move it away.
        if str(path) not in str(error):
            lost.append(f"{name}, {kind}: a pull says {error}")
        decay(path, "removed", chance)
        device.pull()
    if verify(device.store) or device.current().keys() != device.digests.keys() or not shared or not before:
        lost.append(f"{name}, {kind}: a pull leaves {[str(one) for one in verify(device.store)]}")
    return lost


@pytest.mark.parametrize("kind", KINDS)
def test_what_decays_on_a_device_is_named_not_run_and_pulled_again(device: Device, kind: str) -> None:
    chance = random.Random(3)
    assert verify(device.store) == []
    for path in device.files():
        assert misses(device, path, kind, chance) == []


def test_no_flipped_bit_of_the_state_is_believed(device: Device) -> None:
    path, chance = device.store.root / "state.json", random.Random(4)
    sound = path.read_bytes()
    expected = device.store.state()
    for _ in range(300):
        data = bytearray(sound)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            assert device.store.state() == expected
        except InferenceError:
            continue


def test_a_state_of_an_older_program_is_read(device: Device) -> None:
    path = device.store.root / "state.json"
    expected = device.store.state()
    path.write_bytes(expected.model_dump_json().encode())
    assert device.store.state() == expected


BREAK: Dict[str, Callable[[Path], object]] = {
    "current gone": lambda root: (root / "current").unlink(),
    "current elsewhere": lambda root: ((root / "current").unlink(), (root / "current").symlink_to("releases/nothing")),
    "state gone": lambda root: (root / "state.json").unlink(),
    "a key": lambda root: ((root / "keys").mkdir(), (root / "keys" / "x.pub").write_bytes(b"\0")),
    "trust": lambda root: (root / "trust.json").write_bytes(b"{"),
    "a lock": lambda root: ((root / ".pull.lock").unlink(), (root / ".pull.lock").mkdir()),
}


@pytest.mark.parametrize("harm", BREAK.values(), ids=BREAK)
def test_what_says_which_is_which_is_looked_at_too(device: Device, harm: Callable[[Path], object]) -> None:
    harm(device.store.root)
    assert verify(device.store) != []


def test_the_command_says_what_is_wrong_and_what_to_do(device: Device, capsys: Capture) -> None:
    command = ["releases", "--verify", "--store", str(device.store.root)]
    assert main(command) == 0
    assert "everything is what was pulled" in capsys.readouterr().out
    path = next(path for path in device.files() if path.suffix == ".bmodel")
    decay(path, "a bit flipped", random.Random(1))
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert str(path) in shown and "Pull the release again" in shown
