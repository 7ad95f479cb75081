"""Whole bundles, made as the command makes them; only uv and pip are replaced, where their commands are started."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from artifacts.digest import digest_file
from artifacts.reference import parse_reference
from settings.load import load_settings
from tasks.bundle import make, packages
from tasks.bundle.inputs import PROFILE
from tasks.bundle.make import Origin, build_bundle, device_bundle
from tasks.bundle.manifest import this_host
from tasks.bundle.packages import Target
from tasks.bundle.release import EXPECTED, differences, expected_of, read_expected
from tasks.bundle.unpack import unpack
from tasks.errors import BundleNotMade, BundleRefused
from tasks.toolchain.installer import PYTHON
from tasks.workspace import Workspace
from tests.artifacts.layouts import publish
from tests.artifacts.releases import record
from tests.tasks.bundle.wheels import OUR_WHEEL, Index

HERE = this_host().python
SECRET = """
extends = "own.toml"
[weights]
mirrors = ["weights.pth", "https://me:s3cret@mirror.example.com/weights.pth?token=s3cret"]
[store]
path = "store"
[exchange]
repository = "s3cret.example.com/work"
[release]
name = "mine"
repository = "registry"
push = "s3cret.example.com/models"
signing_key = "s3cret.pem"
[toolchain]
python = "s3cret/python"
[runner]
kind = "dask"
scheduler = "tcp://s3cret:8786"
[devices.board]
kind = "ssh"
host = "s3cret"
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    found = Index({HERE: ["uv==1", "ruff==2"], PYTHON: ["tpu_mlir==1.30.2"], "3.8": ["numpy==1.24"]})
    monkeypatch.setattr(packages, "_run", found)
    monkeypatch.setattr(packages, "compilers_python", lambda named: Path(sys.executable))
    monkeypatch.setattr(make, "WHEELS", tmp_path / "wheelhouse")
    return found


def workspace_in(folder: Path) -> Workspace:
    return Workspace(store=str(folder / "store"), cache=str(folder / "cache"))


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {one.name: stream.read() for one in tar.getmembers() if (stream := tar.extractfile(one))}


def test_a_bundle_of_the_sample_is_what_a_build_elsewhere_takes(index: Index, tmp_path: Path) -> None:
    published = publish(tmp_path / "registry")
    beside = parse_reference(f"oci:{tmp_path / 'registry'}@{published.digest}")
    target = tmp_path / "new" / "bundle.tar"
    made = build_bundle(load_settings(environ={}), "sample", workspace_in(tmp_path), target, beside=beside)
    assert made.file == (target.stat().st_size, digest_file(target))
    done = unpack(target, tmp_path / "there", "build", this_host())
    assert done.manifest == made.manifest
    assert {one.name for one in made.manifest.files} == {
        EXPECTED,
        PROFILE,
        "wheels/build/uv-1-py3-none-any.whl",
        "wheels/build/ruff-2-py3-none-any.whl",
        "wheels/toolchain/tpu_mlir-1.30.2-py3-none-any.whl",
    }
    assert read_expected(tmp_path / "there" / EXPECTED) == expected_of(beside)
    assert load_settings(tmp_path / "there" / PROFILE, environ={}).matrix == load_settings(environ={}).matrix


def test_nothing_of_this_machine_and_no_secret_is_in_the_file(index: Index, site: Path, tmp_path: Path) -> None:
    (site / "a profile's name\n.toml").write_text(SECRET)
    profile = str(site / "a profile's name\n.toml")
    target = tmp_path / "bundle.tar"
    made = build_bundle(load_settings(profile, environ={}), profile, workspace_in(tmp_path), target)
    assert made.manifest.profile == "a-profile-s-name-"
    assert [name for name, data in members(target).items() if b"s3cret" in data or bytes(tmp_path) in data] == []
    unpack(target, tmp_path / "build" / "bundle", "build", this_host())
    there = load_settings(tmp_path / "build" / "bundle" / PROFILE, environ={})
    assert (there.release.push, there.release.signing_key, there.exchange.repository) == (None, None, None)
    assert there.store.path == Path.cwd() / "build" / "store"
    assert there.release.repository == tmp_path / "build" / "registry" / "mine"
    assert there.toolchain.python is None and there.runner.kind == "threads" and set(there.devices) == {"simulator"}


def test_what_may_be_refused_is_looked_at_before_any_package_is_fetched(
    index: Index, site: Path, tmp_path: Path
) -> None:
    settings, workspace, target = load_settings(environ={}), workspace_in(tmp_path), tmp_path / "bundle.tar"
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(BundleNotMade, match="is a folder"):
        build_bundle(settings, "sample", workspace, tmp_path)
    with pytest.raises(Exception, match="in the way"):
        build_bundle(settings, "sample", workspace, tmp_path / "in the way" / "bundle.tar")
    with pytest.raises(Exception, match="nowhere"):
        build_bundle(settings, "sample", workspace, target, beside=parse_reference(f"oci:{tmp_path / 'nowhere'}"))
    with pytest.raises(BundleNotMade, match="something else"):
        build_bundle(settings, "coco-dla34", workspace, target)
    (site / "nntc.toml").write_text(
        'extends = "own.toml"\n[[matrix]]\nchip = "BM1684"\nprecisions = ["fp32"]\n'
        '[toolchain]\nname = "tpu-nntc"\nnntc.version = "3.1.7"\nnntc.image = "i"\n'
    )
    with pytest.raises(BundleNotMade, match="tpu-nntc"):
        profile = str(site / "nntc.toml")
        build_bundle(load_settings(profile, environ={}), profile, workspace, target)
    with pytest.raises(BundleNotMade, match="is a folder"):
        device_bundle(parse_reference("oci:x"), Target("3.8", "aarch64"), tmp_path)
    with pytest.raises(Exception, match="nowhere"):
        device_bundle(parse_reference(f"oci:{tmp_path / 'nowhere'}"), Target("3.8", "aarch64"), target)
    assert index.asked == []
    assert not target.exists()


def test_a_device_bundle_has_what_its_installer_wants(index: Index, tmp_path: Path) -> None:
    publish(tmp_path / "registry")
    index.pins = {HERE: ["dependency==1", f"centernet-sophon-device @ file:///{OUR_WHEEL}"], "3.8": ["dependency==2"]}
    target = Target(HERE, platform.machine(), "2.17")
    path = tmp_path / "device.tar"
    device_bundle(parse_reference(f"oci:{tmp_path / 'registry'}:1.0.0"), target, path)
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path / "board", filter="data")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "board" / "install.py"), "--target", str(tmp_path / "installed")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    assert f"pull oci:{tmp_path / 'board' / 'release' / record().name}:1.0.0" in done.stdout
    facts = json.loads((tmp_path / "board" / "bundle.json").read_text())
    wheels = [one["name"] for one in facts["files"] if one["name"].startswith("wheels/")]
    assert wheels == [f"wheels/{OUR_WHEEL}", "wheels/dependency-1-py3-none-any.whl"]
    with pytest.raises(BundleRefused, match="device bundle"):
        unpack(path, tmp_path / "there", "build", this_host())


def test_wheels_for_a_newer_c_library_are_not_taken_for_an_older_one(index: Index, tmp_path: Path) -> None:
    publish(tmp_path / "registry")
    release = parse_reference(f"oci:{tmp_path / 'registry'}:1.0.0")
    for glibc in ("2.31", "2.17", "2.31"):
        device_bundle(release, Target("3.8", "aarch64", glibc), tmp_path / f"{glibc}.tar")
    assert index.asked.count("--dest") == 2
    kept = sorted(path.name for path in (tmp_path / "wheelhouse").iterdir() if path.is_dir())
    assert kept == ["device-3.8-aarch64-glibc2.17", "device-3.8-aarch64-glibc2.31"]


def test_what_this_machine_collected_before_its_c_library_was_replaced_is_left(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = this_host()
    for glibc in ("2.41", "2.31"):
        monkeypatch.setattr(make, "this_host", lambda glibc=glibc: host._replace(glibc=glibc))
        build_bundle(load_settings(environ={}), "sample", workspace_in(tmp_path), tmp_path / f"{glibc}.tar")
    assert index.asked.count("--wheel-dir") == 4


def test_a_release_of_another_profile_is_refused_before_packages_are_fetched(index: Index, tmp_path: Path) -> None:
    publish(tmp_path / "registry")  # of 512 x 512, a demonstration
    release, target = parse_reference(f"oci:{tmp_path / 'registry'}:1.0.0"), Target("3.8", "aarch64")
    coco = Origin("coco", load_settings("coco", environ={}))
    with pytest.raises(BundleNotMade, match=r"not of the profile coco: .*dlav0_34 x1; .*demonstration.*PROFILE=coco"):
        device_bundle(release, target, tmp_path / "device.tar", origin=coco)
    with pytest.raises(BundleNotMade, match="512 x 512 and not 256 x 256"):
        sample = Origin("sample", load_settings(environ={}))
        device_bundle(release, target, tmp_path / "device.tar", origin=sample)
    assert index.asked == []
    own = record().model_copy(update={"network": "dlav0_34 x1", "demonstration": False})
    assert differences(own, coco.settings) == []


def test_a_board_gets_no_version_that_would_have_to_be_built(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path / "registry")
    release, target = parse_reference(f"oci:{tmp_path / 'registry'}:1.0.0"), Target("3.8", "aarch64", "2.17")

    def refused(command: list[str]) -> str:
        if "compile" not in command:
            return index(command)
        assert command[command.index("--only-binary") + 1] == ":all:"
        raise BundleNotMade("no such wheel.")

    monkeypatch.setattr(packages, "_run", refused)
    with pytest.raises(BundleNotMade, match=r"Python 3.8 on aarch64 with the C library 2.17: .* --glibc"):
        device_bundle(release, target, tmp_path / "device.tar")
