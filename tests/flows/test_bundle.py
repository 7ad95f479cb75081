from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.reference import parse_reference
from flows.bundle import run_bundle
from flows.unbundle import run_unbundle
from tasks.bundle.manifest import Manifest, this_host
from tasks.bundle.pack import listed, pack
from tasks.bundle.release import expected_text
from tests.artifacts.layouts import publish

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A bundle for this very machine."""
    host = this_host()
    (tmp_path / "source").write_text('extends = "sample"\n')
    files = {"profile.toml": tmp_path / "source"}
    pythons = {"build": host.python, "toolchain": "3.10"}
    manifest = Manifest("build", "0.1.0", "sample", "1.30.2", host.machine, host.glibc, pythons, listed(files))
    pack(manifest, files, tmp_path / "bundle.tar")
    return tmp_path / "bundle.tar"


def test_a_machine_that_has_nothing_but_python_unpacks_a_bundle(file: Path, tmp_path: Path) -> None:
    # Without site-packages: no pydantic, no packaging, no Prefect.
    command = [sys.executable, "-S", "-m", "flows.unbundle", str(file), "--to", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"})
    assert done.returncode == 0, done.stderr
    assert "1 written" in done.stdout
    assert (tmp_path / "out" / "profile.toml").is_file()


def test_a_bundle_that_is_refused_is_one_paragraph(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_unbundle([str(file), "--to", str(tmp_path / "out"), "--kind", "device"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_build_that_made_other_bmodels_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(tmp_path / "there")
    publish(tmp_path / "other", "2.0.0")
    expected = tmp_path / "expected.json"
    expected.write_text(expected_text(parse_reference(f"oci:{tmp_path / 'there'}:1.0.0")))
    same = ["compare", "--expected", str(expected), "--release", f"oci:{tmp_path / 'there'}:1.0.0"]
    other = ["compare", "--expected", str(expected), "--release", f"oci:{tmp_path / 'other'}:2.0.0"]
    assert run_bundle(same) == 0
    assert run_bundle(other) == 1
    assert "other bytes" in capsys.readouterr().out


def test_a_python_or_machine_that_no_wheel_is_for_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--python", "3"], ["--machine", "vax"], ["--glibc", "new"]):
        with pytest.raises(SystemExit) as caught:
            run_bundle(["device", *wrong])
        assert caught.value.code == 2
