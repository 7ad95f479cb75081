"""What an independent tool makes of our layout; it runs where skopeo is installed (``apt-get install skopeo``)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Dict

import pytest

from artifacts import layout
from tests.artifacts.releases import release

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


def skopeo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["skopeo", "--insecure-policy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(folder: Path) -> Dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    record, files = release(tmp_path / "built")
    layout.publish(tmp_path / "registry", record, files, ["1.0.0", "stable"])
    return tmp_path / "registry"


def test_a_copy_by_skopeo_keeps_the_digest_and_exports_the_same_folder(root: Path, tmp_path: Path) -> None:
    digest, data = layout.resolve(root, "1.0.0")
    copied = skopeo("copy", "-q", "--all", "--preserve-digests", f"oci:{root}:1.0.0", f"oci:{tmp_path}/copy:1.0.0")
    assert copied.returncode == 0, copied.stderr
    assert layout.resolve(tmp_path / "copy", "1.0.0") == (digest, data)
    ours = layout.export(root, "1.0.0", tmp_path / "ours")
    theirs = layout.export(tmp_path / "copy", "1.0.0", tmp_path / "theirs")
    assert contents(ours) == contents(theirs)
    assert layout.check(tmp_path / "copy") == []


def test_a_client_that_would_take_the_first_chip_is_turned_away(root: Path, tmp_path: Path) -> None:
    copied = skopeo("copy", "-q", f"oci:{root}:1.0.0", f"oci:{tmp_path}/copy:1.0.0")
    assert copied.returncode != 0


def test_one_chips_manifest_can_be_pulled_by_its_own_tag(root: Path, tmp_path: Path) -> None:
    copied = skopeo("copy", "-q", f"oci:{root}:1.0.0-bm1684x", f"oci:{tmp_path}/copy:1.0.0-bm1684x")
    assert copied.returncode == 0, copied.stderr
    assert layout.resolve(tmp_path / "copy", "1.0.0-bm1684x") == layout.resolve(root, "1.0.0-bm1684x")
    raw = skopeo("inspect", "--raw", f"oci:{root}:1.0.0-bm1684x")
    assert json.loads(raw.stdout) == json.loads(layout.resolve(root, "1.0.0-bm1684x")[1])


def test_what_skopeo_added_to_our_layout_is_kept_and_read(root: Path, tmp_path: Path) -> None:
    record, files = release(tmp_path / "built", "1.1.0")
    layout.publish(tmp_path / "other", record, files, ["1.1.0"])
    copied = skopeo("copy", "-q", "--all", f"oci:{tmp_path}/other:1.1.0", f"oci:{root}:1.1.0")
    assert copied.returncode == 0, copied.stderr
    assert sorted(layout.tags(root)) == ["1.0.0", "1.1.0", "stable"]
    published = layout.publish(root, record, files, ["1.1.0", "stable"])
    assert published.digest == layout.resolve(tmp_path / "other", "1.1.0")[0]
    assert layout.check(root) == []
