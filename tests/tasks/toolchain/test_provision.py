"""An environment is made once, recognised without a process, and made anew when it is not what it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uv

from artifacts.files import locked
from tasks.errors import ProvisionFailed, ToolchainDecayed
from tasks.toolchain import provision as provisioning
from tasks.toolchain.contents import check_before_use
from tasks.toolchain.provision import TOOLS, cache_root, fingerprint, provision
from tasks.toolchain.quirks import QUIRKS, Quirk
from tests.artifacts.processes import all_at_once, living
from tests.tasks.toolchain.fakes import VERSION, FakeUv, is_alive, kill_all, wait_until_gone


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUv]:
    fake = FakeUv(tmp_path / "uv", tmp_path / "cache")
    monkeypatch.setattr(uv, "find_uv_bin", lambda: str(fake.path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "no-pyenv"))
    monkeypatch.setattr(provisioning, "NEEDED_BYTES", 1)
    yield fake
    if (fake.folder / "pid").exists():
        kill_all([fake.installer_pid()])


def forbid_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    monkeypatch.setattr(os, "posix_spawn", forbidden)
    monkeypatch.setattr(os, "fork", forbidden)


def test_an_environment_is_made_by_the_release_and_its_lock(fake_uv: FakeUv) -> None:
    toolchain = fake_uv.provision()
    assert toolchain.version == VERSION and toolchain.root == str(fake_uv.environment)
    assert toolchain.quirks == tuple(quirk.name for quirk in QUIRKS)
    (install,) = fake_uv.calls("pip install")
    assert install.endswith("tpu_mlir[torch,onnx]==1.30.2 psutil setuptools<81")
    assert "torch==2.11.0" in (fake_uv.environment / "constraints.txt").read_text().splitlines()
    assert not list(fake_uv.environment.glob(".ready*"))


def test_the_tools_are_started_once_so_that_their_bytecode_is_there(fake_uv: FakeUv) -> None:
    fake_uv.provision()
    log = fake_uv.environment.with_name(fake_uv.environment.name + ".log").read_text()
    assert [tool for tool in TOOLS if f"{fake_uv.environment / 'bin' / tool} --help\n" in log] == list(TOOLS)


def test_a_ready_environment_is_recognised_without_starting_a_process(
    fake_uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fake_uv.provision()
    forbid_processes(monkeypatch)
    assert fake_uv.provision() == made


def test_one_that_decayed_is_made_anew_after_it_was_refused(fake_uv: FakeUv) -> None:
    made = fake_uv.provision()
    path = fake_uv.environment / "bin" / "model_deploy"
    sound = path.read_bytes()
    path.write_bytes(sound + b"# decayed\n")
    with pytest.raises(ToolchainDecayed, match="model_deploy"):
        check_before_use(made)
    assert fake_uv.provision() == made and path.read_bytes() == sound and len(fake_uv.calls("pip install")) == 2
    check_before_use(made)


def test_the_fingerprint_is_the_package_sets_and_not_the_places(fake_uv: FakeUv, tmp_path: Path) -> None:
    here, there = fake_uv.provision(), provision(VERSION, root=tmp_path / "elsewhere")
    assert here.root != there.root and here.fingerprint == there.fingerprint
    facts = ("1.30.2", ("torch-2.11.0",), ("quirk",))
    assert len({fingerprint(*facts[:at], "other", *facts[at + 1 :]) for at in range(3)} | {fingerprint(*facts)}) == 4


def test_an_environment_that_was_changed_since_is_not_recognised(fake_uv: FakeUv, tmp_path: Path) -> None:
    environment = fake_uv.environment
    made = fake_uv.provision()
    shutil.copytree(environment, tmp_path / "whole", symlinks=True)
    ready = (environment / "ready.json").read_text()
    site_packages = environment / "lib" / "python3.10" / "site-packages"
    damages: dict[str, Callable[[], object]] = {
        "package removed": next(site_packages.glob("torch-*.dist-info")).rmdir,
        "package added": (site_packages / "torch-3.0.dist-info").mkdir,
        "python gone": (environment / "bin" / "python").unlink,
        "tool gone": (environment / "bin" / "model_deploy").unlink,
        "tool not executable": lambda: (environment / "bin" / "run_calibration").chmod(0o644),
        "half a record": lambda: (environment / "ready.json").write_text(ready[:100]),
        "another record": lambda: (environment / "ready.json").write_text("[]"),
        "no quirks": lambda: (environment / "ready.json").write_text(json.dumps({**json.loads(ready), "quirks": None})),
    }
    for damage, inflict in damages.items():
        assert provisioning.recognise(environment, VERSION) == made
        inflict()
        assert provisioning.recognise(environment, VERSION) is None, damage
        shutil.rmtree(environment)
        shutil.copytree(tmp_path / "whole", environment, symlinks=True)


def test_what_is_not_recognised_is_made_anew(fake_uv: FakeUv) -> None:
    made = fake_uv.provision()
    (fake_uv.environment / "bin" / "python").unlink()
    (fake_uv.environment / "left").touch()
    assert fake_uv.provision() == made
    assert len(fake_uv.calls("pip install")) == 2
    assert not (fake_uv.environment / "left").exists()


def test_an_environment_that_was_moved_is_none(fake_uv: FakeUv, tmp_path: Path) -> None:
    fake_uv.provision()
    shutil.move(fake_uv.cache, tmp_path / "moved")
    assert provisioning.recognise(tmp_path / "moved" / "toolchains" / fake_uv.environment.name, VERSION) is None


def test_a_new_quirk_gets_a_new_environment_and_the_old_one_stays(fake_uv: FakeUv) -> None:
    before = fake_uv.provision()
    added = Quirk(name="new-oddity", why="it is odd", present=lambda _: False, mend=lambda _: None)
    after = fake_uv.provision(quirks=(*QUIRKS, added))
    assert after.root != before.root and Path(before.root, "ready.json").exists()
    assert after.fingerprint != before.fingerprint


def test_one_that_was_killed_half_way_is_made_anew_and_its_installer_is_gone(fake_uv: FakeUv) -> None:
    fake_uv.behave(slow=600)

    def install(ready: Any) -> None:
        ready()
        fake_uv.provision()

    with living(install) as child:
        pid = fake_uv.installer_pid()
        (fake_uv.environment / "half").touch()
        os.kill(child, signal.SIGKILL)
        assert wait_until_gone([pid])
    assert fake_uv.environment.exists() and not (fake_uv.environment / "ready.json").exists()
    fake_uv.behave()
    fake_uv.provision()
    assert not (fake_uv.environment / "half").exists()
    assert len(fake_uv.calls("pip install")) == 2


def test_two_at_once_install_once(fake_uv: FakeUv, tmp_path: Path) -> None:
    fake_uv.behave(slow=0.5)

    def install() -> None:
        toolchain = fake_uv.provision()
        (tmp_path / f"got-{os.getpid()}").write_text(toolchain.fingerprint)

    assert all_at_once([install] * 3) == [0, 0, 0]
    assert len({path.read_text() for path in tmp_path.glob("got-*")}) == 1
    assert len(list(tmp_path.glob("got-*"))) == 3
    assert len(fake_uv.calls("pip install")) == 1


def test_a_lock_that_a_killed_run_left_behind_stops_nobody(fake_uv: FakeUv) -> None:
    lock = fake_uv.environment.with_name(fake_uv.environment.name + ".lock")

    def hold(ready: Any) -> None:
        with locked(lock):
            ready()
            time.sleep(600)

    with living(hold):
        pass
    assert lock.exists()
    assert fake_uv.provision().root == str(fake_uv.environment)


@pytest.mark.parametrize(
    ("fails", "complaint"),
    [
        ("unreachable", "could not be installed: the package index cannot be reached"),
        ("no release", "does that release exist for this machine.*there is no version of tpu-mlir"),
        ("full disk", "the disk became full"),
    ],
)
def test_an_installation_that_fails_says_why_and_leaves_nothing_that_looks_ready(
    fake_uv: FakeUv, fails: str, complaint: str
) -> None:
    fake_uv.behave(fails=fails)
    with pytest.raises(ProvisionFailed, match=f"^tpu-mlir 1.30.2 .*{complaint}") as caught:
        fake_uv.provision()
    assert caught.value.log_path is not None and "$ " in caught.value.log_path.read_text()
    assert not (fake_uv.environment / "ready.json").exists()


def test_a_disk_that_is_too_small_is_named_before_anything_is_done(
    fake_uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provisioning, "NEEDED_BYTES", 8_000_000_000)
    monkeypatch.setattr(provisioning, "free_bytes", lambda _: 7_900_000_000)
    with pytest.raises(ProvisionFailed, match=r"needs about 8 GB, .* has 7.9 GB free\. Make space"):
        fake_uv.provision()
    assert not fake_uv.calls() and not fake_uv.environment.exists()


def test_without_python_3_10_the_error_says_how_to_name_one(fake_uv: FakeUv) -> None:
    fake_uv.behave(python="none")
    with pytest.raises(ProvisionFailed, match=r"needs Python 3\.10: none was found .*--set toolchain\.python=PATH"):
        fake_uv.provision()
    assert fake_uv.calls("python install") == ["python install --no-bin 3.10"]


def test_a_python_3_10_is_brought_where_there_is_none(fake_uv: FakeUv) -> None:
    fake_uv.behave(python="after download")
    fake_uv.provision()
    assert "--python /usr/bin/python3.10 " in fake_uv.calls("venv")[0]


def test_a_pyenv_python_is_found_before_one_is_downloaded(
    fake_uv: FakeUv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "pyenv" / "versions" / "3.10.13" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    fake_uv.behave(python="none")
    fake_uv.provision()
    assert str(python) in fake_uv.calls("venv")[0]
    assert not fake_uv.calls("python install")


@pytest.mark.parametrize(
    ("python", "complaint"),
    [("/opt/python3.11", r"/opt/python3\.11 is Python 3\.11\.7, the compiler needs 3\.10"), ("/opt/broken", "working")],
)
def test_a_named_python_of_another_kind_is_refused(fake_uv: FakeUv, python: str, complaint: str) -> None:
    with pytest.raises(ProvisionFailed, match=complaint):
        fake_uv.provision(python=Path(python))
    assert not fake_uv.calls("pip install")


def test_a_package_that_does_not_start_is_reported_with_its_last_line_and_the_log(fake_uv: FakeUv) -> None:
    fake_uv.behave(smoke="fails")
    with pytest.raises(ProvisionFailed, match=r"does not start: ImportError: libX\.so") as caught:
        fake_uv.provision()
    assert caught.value.log_path is not None and "ImportError" in caught.value.log_path.read_text()
    assert not (fake_uv.environment / "ready.json").exists()


@pytest.mark.parametrize(
    ("leaves", "missing"), [("no package", "no package tpu_mlir"), ("no tools", "no model_transform, run_calibration")]
)
def test_an_installer_that_reports_success_and_leaves_no_compiler_is_not_believed(
    fake_uv: FakeUv, leaves: str, missing: str
) -> None:
    fake_uv.behave(leaves=leaves)
    with pytest.raises(ProvisionFailed, match=f"left {missing}"):
        fake_uv.provision()


def test_an_installation_that_takes_too_long_is_ended(fake_uv: FakeUv) -> None:
    fake_uv.behave(slow=600)
    for timeout_s in (1.5, 30.0, 300.0):  # it has to be under way by then, on a busy machine too
        with pytest.raises(ProvisionFailed, match=rf"not ready after {timeout_s:g} s\. Is the network slow"):
            fake_uv.provision(timeout_s=timeout_s)
        if (fake_uv.folder / "pid").exists():
            break
    assert not is_alive(fake_uv.installer_pid())


def test_a_virtual_environment_of_the_callers_does_not_reach_the_installer_but_its_settings_do(
    fake_uv: FakeUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_uv.path.write_text(f"#!/bin/sh\nenv > {fake_uv.folder}/environment\nexit 1\n")
    monkeypatch.setenv("VIRTUAL_ENV", "/canary")
    monkeypatch.setenv("UV_TORCH_BACKEND", "cpu")
    with pytest.raises(ProvisionFailed):
        fake_uv.provision()
    lines = (fake_uv.folder / "environment").read_text().splitlines()
    assert "UV_TORCH_BACKEND=cpu" in lines
    assert not [line for line in lines if "canary" in line]


def test_the_cache_folder_is_one_for_all_checkouts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_root({"CENTERNET_CACHE": "mine"}) == tmp_path / "mine"
    assert cache_root({"XDG_CACHE_HOME": "/caches"}) == Path("/caches/centernet-sophon")
    assert cache_root({}) == Path.home() / ".cache" / "centernet-sophon"
