from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from artifacts.digest import digest_file
from artifacts.reference import Reference, parse_reference
from artifacts.registry import open_registry
from flows import bundle
from flows.bundle import run_bundle
from flows.stopping import SIGNALS
from flows.unbundle import run_unbundle
from settings.model import Settings
from tasks.bundle.make import Made, Origin
from tasks.bundle.manifest import Manifest, this_host
from tasks.bundle.pack import Packed, listed, pack
from tasks.bundle.release import expected_text
from tasks.bundle.unpack import read_manifest
from tasks.errors import BundleNotMade
from tasks.signing import subject_at
from tests.artifacts.layouts import publish
from tests.tasks.bundle.pythons import older_python

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
    assert "1 read from it" in done.stdout and "already" not in done.stdout
    assert (tmp_path / "out" / "profile.toml").is_file()


def test_a_device_bundle_is_refused_with_what_to_do_on_the_board(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"a": tmp_path / "source"}
    manifest = read_manifest(file)._replace(kind="device", pythons={"device": "3.8"}, files=listed(files))
    pack(manifest, files, tmp_path / "device.tar")
    assert run_unbundle([str(tmp_path / "device.tar"), "--to", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "mkdir bundle && tar -xf device.tar -C bundle && python3.8 bundle/install.py" in said
    assert "PYTHON=" not in said and said.count("\n") == 1


def test_what_was_not_read_from_a_bundle_is_not_called_sound(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(file), "--to", str(tmp_path / "out")]
    assert run_unbundle(asked) == 0
    data = file.read_bytes()
    file.write_bytes(data.replace(b'extends = "sample"', b'extends = "simple"'))
    capsys.readouterr()
    assert run_unbundle(asked) == 0
    said = capsys.readouterr().out
    assert "0 read from it" in said and "1 were there already and not read from it again" in said
    assert "as they were packed" not in said


def test_places_that_cannot_be_written_are_told_without_the_systems_words(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_unbundle([str(file), "--to", "/proc/x"]) == 1
    assert run_bundle(["device", "--output", "/proc/x.tar"]) == 1
    assert run_bundle(["device", "--output", "/proc/x/y.tar"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert all(line.startswith("error: Cannot write below /proc") for line in said)
    (tmp_path / "loop").symlink_to("loop")
    assert run_unbundle([str(file), "--to", str(tmp_path / "loop" / "x")]) == 1
    assert run_unbundle([str(file), "--to", "x" * 300]) == 1
    assert capsys.readouterr().err.count("it is no folder for a bundle") == 2


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


def test_a_build_is_compared_where_its_profile_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    publish(Path("build/registry/centernet-dla34"), "1.0.0", "1.0.0", "latest")
    Path("build/bundle").mkdir()
    Path("build/bundle/expected.json").write_text(
        expected_text(parse_reference("oci:build/registry/centernet-dla34:1.0.0"))
    )
    # With what `make build` was given besides.
    assert run_bundle(["compare", "--profile", "coco-dla34", "--explain", "--set", "workers=3"]) == 0
    assert run_bundle(["compare", "--profile", "coco-dla34", "--set", "release.repository=elsewhere"]) == 1
    assert run_bundle(["compare", "--profile", "coco"]) == 1
    assert run_bundle(["compare", "--profile", "no-such-profile"]) == 2
    assert run_bundle(["compare", "--release", "not a reference"]) == 2
    assert run_bundle(["compare", "--profile", "coco", "--settings"]) == 0  # nothing was built
    assert "Traceback" not in capsys.readouterr().err


def test_a_device_bundle_is_of_the_release_of_its_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noted(release: Reference, *_: object, origin: Origin | None) -> None:
        asked.append(f"{release} of {origin and origin.profile}")
        raise BundleNotMade("enough")

    monkeypatch.setattr(bundle, "device_bundle", noted)
    for arguments in ([], ["--profile", "coco-dla34"], ["--release", "oci:x:1"]):
        assert run_bundle(["device", *arguments]) == 1
    here = Path.cwd() / "build" / "registry"
    assert asked == [
        f"oci:{here / 'centernet'}:latest of sample",
        f"oci:{here / 'centernet-dla34'}:latest of coco-dla34",
        "oci:x:1 of None",
    ]


def test_what_was_packed_is_told_with_what_to_note(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = publish(tmp_path / "registry")
    with open_registry(parse_reference(f"oci:{tmp_path / 'registry'}")) as registry:
        subject = subject_at(registry, "1.0.0")
    made = Made(read_manifest(file), Packed(file.stat().st_size, digest_file(file)), subject)
    monkeypatch.setattr(bundle, "device_bundle", lambda *_, **__: made)
    assert run_bundle(["device", "--release", "oci:x:1", "--output", str(file)]) == 0
    said = capsys.readouterr().out
    assert f"SHA-256 of the file: {hashlib.sha256(file.read_bytes()).hexdigest()}\n" in said
    last = said.splitlines()[-1]
    assert last.startswith(f"it holds centernet 1.0.0, {published.digest}. A demonstration")


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"{}",
        b"no JSON",
        b"\xff",
        b'{"a": 1}',
        b'{"a": "sha256:x"}',
        b'{"a\\u001b[2J": "sha256:' + b"0" * 64 + b'"}',
        None,
    ],
)
def test_expectations_that_are_none_are_one_line(
    tmp_path: Path, data: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(tmp_path / "there")
    if data is not None:
        (tmp_path / "expected.json").write_bytes(data)
    release = f"oci:{tmp_path / 'there'}:1.0.0"
    assert run_bundle(["compare", "--expected", str(tmp_path / "expected.json"), "--release", release]) == 1
    said = capsys.readouterr().err
    assert "expected.json cannot be used: " in said and said.count("\n") == 1
    assert "\x1b" not in said


def test_a_folder_in_the_place_of_a_file_and_a_full_one_in_the_place_of_a_new_one_are_told(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bundle(["build", "--output", "."]) == 1
    assert "is a folder: name a file" in capsys.readouterr().err
    assert run_bundle(["device", "--output", "."]) == 1
    assert "is a folder: name a file" in capsys.readouterr().err
    assert run_unbundle([str(file), "--to", "."]) == 1
    assert "something else than a bundle" in capsys.readouterr().err


def test_a_home_in_a_profile_is_that_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def noted(settings: Settings, *_: object, **__: object) -> None:
        asked.append(settings.store.path)
        raise BundleNotMade("enough")

    monkeypatch.setattr(bundle, "build_bundle", noted)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CENTERNET_STORE__PATH", "/elsewhere")
    (tmp_path / "own.toml").write_text('extends = "sample"\n[store]\npath = "~/store"\n')
    assert run_bundle(["build", "--profile", str(tmp_path / "own.toml")]) == 1
    assert asked == [tmp_path / "store"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_making_and_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]

    def stopped(*_: object, **__: object) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path):
            os.kill(os.getpid(), number)
            time.sleep(10)

    monkeypatch.setattr(bundle, "build_bundle", stopped)
    assert run_bundle(["build"]) == 128 + number
    assert f"stopped by {number.name}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_a_signal_ends_the_unpacking_without_a_traceback(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bundle.tar")  # a stick that answers nothing
    command = [
        sys.executable,
        "-S",
        "-m",
        "flows.unbundle",
        str(tmp_path / "bundle.tar"),
        "--to",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={"PATH": "/usr/bin"})
    try:
        writer = opened_by_both(tmp_path / "bundle.tar")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        os.close(writer)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert said.startswith("The unpacking was stopped by SIGINT.") and said.count("\n") == 1


def opened_by_both(fifo: Path, timeout_s: float = 30.0) -> int:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--python", "3"], "'3' is none of 3.8, 3.9,"),
        (["--python", "3.7"], "is none of 3.8, 3.9,"),
        (["--python", "3.99"], "is none of 3.8, 3.9,"),
        (["--machine", "vax"], "neither aarch64 nor x86_64"),
        (["--glibc", "new"], "such as 2.31"),
        (["--glibc", "2"], "such as 2.31"),
        (["--glibc", "9.9"], "such as 2.31"),
        (["--glibc", "1.0"], "such as 2.31"),
        (["--glibc", "2.5"], "older than 2.17"),
        (["--glibc", "2.27"], "not newer than the board's, 2.17"),
        (["--glibc", "2.99"], "not newer than the board's, 2.40"),
    ],
)
def test_a_python_or_machine_that_no_wheel_is_for_is_wrong_usage(
    wrong: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_bundle(["device", *wrong])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_an_older_python_is_told_in_place_of_a_traceback(file: Path, version: str) -> None:
    python = older_python(version)
    command = [python, "-m", "flows.unbundle", str(file), "--to", str(file.parent / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"this is {version}. " in done.stderr and done.stderr.count("\n") == 1
