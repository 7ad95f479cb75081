from __future__ import annotations

import ast
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tasks.bundle.board import damaged, target_of, unfit
from tasks.bundle.make import INSTALLER
from tasks.bundle.manifest import NAME, Manifest
from tasks.bundle.pack import listed, pack
from tasks.bundle.unpack import read_manifest
from tests.tasks.bundle.pythons import older_python
from tests.tasks.bundle.wheels import wheel

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
WHEEL = "centernet_sophon_device-0.0.1-py3-none-any.whl"
DEPENDENCY = "dependency-0.0.1-py3-none-any.whl"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A device bundle, unpacked as its page says."""
    ours = wheel(tmp_path, WHEEL, needs="Requires-Dist: dependency\n")
    files = {
        f"wheels/{WHEEL}": ours,
        f"wheels/{DEPENDENCY}": wheel(tmp_path, DEPENDENCY),
        **INSTALLER,
    }
    manifest = Manifest(
        "device", "0.0.1", "centernet:1.0.0", "", platform.machine(), "2.17", {"device": HERE}, listed(files)
    )
    pack(manifest, files, tmp_path / "device.tar")
    with tarfile.open(tmp_path / "device.tar") as tar:
        tar.extractall(tmp_path / "bundle", filter="data")
    return tmp_path / "bundle"


def in_no_network(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command where there is no interface but the loopback."""
    program = shutil.which("unshare")
    if program is None:
        pytest.skip("unshare is not here")
    wrapped = [program, "--net"] if os.geteuid() == 0 else [program, "--user", "--map-root-user", "--net"]
    if subprocess.run([*wrapped, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not allow network namespaces")
    environment = {"PATH": os.environ["PATH"], "PIP_INDEX_URL": "http://192.0.2.1/simple"}
    return subprocess.run([*wrapped, *command], capture_output=True, text=True, check=False, env=environment)


def test_a_board_without_a_network_installs_from_its_bundle_alone(board: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    done = in_no_network([sys.executable, str(board / "install.py"), "--target", str(target)])
    assert done.returncode == 0, done.stderr
    assert "Retrying" not in done.stdout + done.stderr  # an index that was asked in vain costs a minute
    assert {path.name for path in target.glob("only_in_a_test_*.py")} == {
        "only_in_a_test_centernet_sophon_device.py",
        "only_in_a_test_dependency.py",
    }
    assert f"oci:{board / 'release' / 'centernet:1.0.0'}" in done.stdout


def test_the_installer_in_the_bundle_finds_what_is_damaged(board: Path, tmp_path: Path) -> None:
    (board / "wheels" / WHEEL).write_bytes(b"x")
    done = subprocess.run(
        [sys.executable, str(board / "install.py"), "--target", str(tmp_path / "installed")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"wheels/{WHEEL} is damaged" in done.stderr
    assert not (tmp_path / "installed").exists()


def run_installer(board: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(board / "install.py"), "--target", str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "name", ["centernet_sophon_device-9.9.9-py3-none-any.whl", "dependency-9.9.9-py3-none-any.whl"]
)
def test_packages_of_another_bundle_are_not_installed(board: Path, tmp_path: Path, name: str) -> None:
    wheel(board / "wheels", name)
    done = run_installer(board, tmp_path / "installed")
    assert done.returncode == 1
    assert f"'wheels/{name}' is not of this bundle; unpack the bundle into a new folder" in done.stderr
    assert not (tmp_path / "installed").exists()


def test_a_link_among_the_packages_is_not_installed(board: Path, tmp_path: Path) -> None:
    (board / "wheels" / WHEEL).rename(tmp_path / WHEEL)
    (board / "wheels" / WHEEL).symlink_to(tmp_path / WHEEL)
    assert "(a link)' is not of this bundle" in run_installer(board, tmp_path / "installed").stderr


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{}",
        b"[]",
        b"no JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        None,
        {"files": [{"name": "wheels/\x1b[2J", "size": 1, "digest": "x"}]},
        {"files": [{"name": "../wheels/x", "size": 1, "digest": "x"}]},
        {"files": [{"size": 1, "digest": "x"}]},
        {"files": []},
        {"profile": "\x1b]0;owned\x07"},
        {"pythons": {"device": ["3.8"]}},
        {"glibc": 2.17},
    ],
)
def test_a_list_that_cannot_be_used_is_one_message(
    board: Path, tmp_path: Path, head: bytes | dict[str, object] | None
) -> None:
    facts = json.loads((board / NAME).read_text())
    if head is None:
        (board / NAME).unlink()
    else:
        (board / NAME).write_bytes(json.dumps(facts | head).encode() if isinstance(head, dict) else head)
    done = run_installer(board, tmp_path / "installed")
    assert done.returncode == 1
    assert done.stderr.startswith("error: nothing was installed: ") and done.stderr.count("\n") == 1
    assert NAME in done.stderr or "of this bundle" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout


def test_a_bundle_for_another_board_is_not_installed(board: Path) -> None:
    facts = json.loads((board / NAME).read_text())
    other = facts | {"machine": "riscv64", "pythons": {"device": "3.7"}, "glibc": "9.9", "kind": "build"}
    reasons = unfit(other)
    assert len(reasons) == 4
    assert unfit(facts) == []


def test_what_is_missing_is_told(board: Path) -> None:
    (board / "wheels" / WHEEL).unlink()
    assert damaged(json.loads((board / NAME).read_text()), board) == [f"wheels/{WHEEL} is missing"]


def test_both_readers_of_a_device_bundle_say_the_same_of_it(board: Path) -> None:
    manifest = read_manifest(board.parent / "device.tar")
    assert manifest.kind == "device"
    assert [one.name for one in manifest.files] == ["board.py", "install.py", f"wheels/{WHEEL}", f"wheels/{DEPENDENCY}"]


def test_the_installer_is_written_for_the_oldest_python_of_a_board() -> None:
    for path, version in ((INSTALLER["board.py"], (3, 8)), (INSTALLER["install.py"], (3, 0))):
        tree = ast.parse(path.read_text(), feature_version=version)
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert modules <= set(sys.stdlib_module_names)
    # What Python 2 and 3.6 do not read, and the parser of today lets pass: none of it is in the part that they run.
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.returns]
    assert "__future__" not in modules and "pathlib" not in modules


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_a_python_that_is_too_old_is_told_which_one_is_meant(board: Path, version: str) -> None:
    done = subprocess.run(
        [older_python(version), str(board / "install.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    said = f"error: nothing was installed: the bundle was made for Python {HERE}, this is {version}\n"
    assert done.stderr == said
    (board / NAME).write_text("{")
    done = subprocess.run(
        [older_python(version), str(board / "install.py")], capture_output=True, text=True, check=False
    )
    assert f"made for Python 3.8 or newer, this is {version}\n" in done.stderr


def test_an_installer_without_its_other_half_is_told(board: Path) -> None:
    (board / "board.py").unlink()
    done = run_installer(board, board.parent / "installed")
    assert done.returncode == 1
    assert "board.py is missing" in done.stderr and done.stderr.count("\n") == 1


def test_help_is_the_installers_own_and_installs_nothing(board: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(board / "install.py"), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ") and "--target FOLDER" in done.stdout
    assert "installed." not in done.stdout


def test_only_what_is_there_is_called_installed(board: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(board / "install.py"), "--target", str(tmp_path / "installed")]
    dry = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=False)
    assert dry.returncode == 0, dry.stderr
    assert "nothing was installed, because of --dry-run" in dry.stdout and "installed. " not in dry.stdout
    root = [sys.executable, str(board / "install.py"), "--root", str(tmp_path / "root"), "--ignore-installed"]
    elsewhere = subprocess.run(root, capture_output=True, text=True, check=False)
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert "does not find centernet-sophon-device 0.0.1" in elsewhere.stdout and "installed. " not in elsewhere.stdout
    there = subprocess.run(command, capture_output=True, text=True, check=False)
    assert there.returncode == 0, there.stderr
    pull = f"PYTHONPATH={tmp_path / 'installed'} {sys.executable} -m inference pull"
    assert "installed. " in there.stdout and pull in there.stdout


def test_a_pip_that_does_nothing_is_no_installation(board: Path, tmp_path: Path) -> None:
    (tmp_path / "pip.py").write_text("")
    done = subprocess.run(
        [sys.executable, str(board / "install.py")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "does not find centernet-sophon-device 0.0.1" in done.stderr and "installed. " not in done.stdout


@pytest.mark.parametrize("arguments", [["--target", "/x"], ["--target=/x"], ["-t", "/x"], ["-t/x"], ["--user", "-t/x"]])
def test_the_folder_that_pip_is_told_is_looked_into(arguments: list[str]) -> None:
    assert target_of(arguments) == Path("/x")
    assert target_of(["--user"]) is None
