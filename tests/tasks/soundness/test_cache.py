"""What is found in the cache folder: downloads against what is known of them, and compilers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from settings.load import load_settings
from settings.model import Settings
from tasks.soundness.cache import check_cache
from tasks.soundness.model import Meter, Part, Remedy
from tasks.source_files import LOCK_FILE, kept_at, obtain
from tasks.sources.lock import LockFile, Recorded
from tasks.toolchain.contents import write_contents
from tasks.workspace import Workspace
from tests.artifacts.damage import FLIPPED, decay
from tests.flows.standing import stand

IMAGE = b"an image"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "weights.pth").write_bytes(b"weights")
    profile = tmp_path / "profile.toml"
    text = f'extends = "sample"\n[weights]\nmirrors = ["{tmp_path}/weights.pth"]\nrecord_first_use = true\n'
    profile.write_text(text)
    return load_settings(profile, environ={})


def parts(settings: Settings, workspace: Workspace) -> dict[str, Part]:
    return {part.name: part for part in check_cache(settings, workspace, Meter())}


def test_a_download_is_compared_with_what_was_recorded(settings: Settings, workspace: Workspace) -> None:
    path = obtain(settings.weights, workspace)
    assert parts(settings, workspace)["downloads"] == Part("downloads", 1)
    path.write_bytes(b"weighty")
    (one,) = parts(settings, workspace)["downloads"].troubles
    assert one.path == path and one.remedy is Remedy.ITSELF and "fetched anew" in one.advice


def test_an_image_of_a_split_is_compared_by_its_name(settings: Settings, workspace: Workspace) -> None:
    root = Path(workspace.cache) / "downloads"
    (root / "val2017").mkdir(parents=True)
    image = root / "val2017" / "000000000139.jpg"
    image.write_bytes(IMAGE)
    found = Recorded(mirror="http://x/", digest=digest_bytes(IMAGE), size=len(IMAGE))
    LockFile(root / LOCK_FILE).record(image.name, found)
    assert parts(settings, workspace)["downloads"].troubles == ()
    image.write_bytes(b"another image")
    assert [one.path for one in parts(settings, workspace)["downloads"].troubles] == [image]


def test_a_download_of_which_nothing_is_known_any_more_needs_somebody(settings: Settings, workspace: Workspace) -> None:
    path = obtain(settings.weights, workspace)
    lock = path.with_name(LOCK_FILE)
    lock.unlink()
    (one,) = parts(settings, workspace)["downloads"].troubles
    assert one.path == lock and one.remedy is Remedy.YOU and path.name in one.why
    assert path == kept_at(settings.weights, workspace)


def test_what_other_settings_downloaded_and_what_is_unfinished_is_a_note(
    settings: Settings, workspace: Workspace
) -> None:
    root = Path(workspace.cache) / "downloads"
    root.mkdir(parents=True)
    (root / "0123abcd-instances.json").write_bytes(b"{}")
    (root / "0123abcd-weights.pth.part").write_bytes(b"half")
    found = parts(settings, workspace)["downloads"]
    assert found.troubles == () and len(found.notes) == 2


def test_a_compiler_is_compared_with_what_was_installed(settings: Settings, workspace: Workspace) -> None:
    folder = stand(Path(workspace.cache))
    write_contents(folder)
    assert parts(settings, workspace)["compilers"].troubles == ()
    path = folder / "bin" / "model_deploy"
    decay(path, FLIPPED, random.Random(1))
    path.chmod(0o755)
    (one,) = parts(settings, workspace)["compilers"].troubles
    assert one.path == path
    (folder / "ready.json").unlink()
    assert {one.path for one in parts(settings, workspace)["compilers"].troubles} == {path, folder}
