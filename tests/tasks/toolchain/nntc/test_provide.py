"""tpu-nntc is found where the settings say, started as the vendor starts it, and its absence is told with a way out."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from artifacts.digest import digest_file
from settings.nntc import NntcSettings
from tasks.errors import CommandTimedOut, ToolchainMissing
from tasks.toolchain.command import Command
from tasks.toolchain.contents import write_contents
from tasks.toolchain.model import Toolchain
from tasks.toolchain.nntc.provide import provide
from tasks.toolchain.run import run
from tests.tasks.toolchain.nntc.fakes import IMAGE, FakeNntc


@pytest.fixture
def nntc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNntc:
    fake = FakeNntc(tmp_path / "vendor's things")
    monkeypatch.setenv("PATH", fake.path)
    return fake


def found(settings: NntcSettings, tmp_path: Path) -> Toolchain:
    return provide(settings, root=tmp_path / "cache", timeout_s=60)


@pytest.mark.parametrize("where", ["in_image", "in_place"])
def test_a_command_runs_after_the_vendors_own_preparation(nntc: FakeNntc, tmp_path: Path, where: str) -> None:
    nntc.behave(needs_setup=True, says="ready")
    toolchain = found(getattr(nntc, where), tmp_path)
    scratch, log = tmp_path / "a scratch, mine", tmp_path / "log"
    scratch.mkdir()
    (scratch / "centernet.pt").write_bytes(b"module")
    options = "--net_name=centernet --target=BM1684 --opt=2 --cmp=true --shapes=[1,3,8,8] --model=centernet.pt"
    arguments = ("-m", "bmnetp", *options.split(), "--outdir=compilation", "--dyn=false")
    run(Command(name="c", tool="python3", arguments=arguments, expects=(), timeout_s=60), toolchain, scratch, log)
    assert (scratch / "compilation" / "compilation.bmodel").is_file()
    assert log.read_text().startswith("$ python3 -m bmnetp --net_name=centernet ")
    assert (toolchain.name, toolchain.version) == ("tpu-nntc", "3.1.0")


@pytest.mark.parametrize("where", ["in_image", "in_place"])
def test_a_command_that_hangs_is_ended_with_all_that_it_started(nntc: FakeNntc, tmp_path: Path, where: str) -> None:
    toolchain = found(getattr(nntc, where), tmp_path)
    nntc.behave(hangs=True)
    with pytest.raises(CommandTimedOut):
        command = Command(name="c", tool="bmnetu", arguments=("x",), expects=(), timeout_s=2)
        run(command, toolchain, tmp_path, tmp_path / "log")


@pytest.mark.parametrize("where", ["in_image", "in_place"])
def test_the_same_is_known_again_and_a_change_of_archive_or_packages_is_another(
    nntc: FakeNntc, tmp_path: Path, where: str
) -> None:
    first = found(getattr(nntc, where), tmp_path)
    assert found(getattr(nntc, where), tmp_path) == first
    nntc.packages(bmnetp="3.1.0", numpy="1.19.5", scipy="1.4.1")
    second = found(getattr(nntc, where), tmp_path)
    (nntc.archive / "scripts" / "another.sh").touch()
    third = found(getattr(nntc, where), tmp_path)
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3


def test_the_image_is_run_by_its_id_so_that_a_name_that_moves_is_not_followed(nntc: FakeNntc, tmp_path: Path) -> None:
    program = (found(nntc.in_image, tmp_path).bin / "bmnetu").read_text()
    assert IMAGE not in program and "sha256:" + "a" * 64 in program


def test_no_image(nntc: FakeNntc, tmp_path: Path) -> None:
    nntc.behave(no_image=True)
    with pytest.raises(ToolchainMissing, match=f"no image {IMAGE} on this machine.*No such image") as caught:
        found(nntc.in_image, tmp_path)
    for way in ("vendor's site", "sophgo/tpuc_dev:v2.1", "tpu-mlir", "docs/toolchains.md"):
        assert way in str(caught.value)


def test_no_docker(nntc: FakeNntc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainMissing, match="no program docker"):
        found(nntc.in_image, tmp_path)


def test_no_archive(nntc: FakeNntc, tmp_path: Path) -> None:
    shutil.rmtree(nntc.archive / "scripts")
    with pytest.raises(ToolchainMissing, match=r"holds no scripts/envsetup\.sh"):
        found(nntc.in_place, tmp_path)


def test_docker_that_is_down_has_to_be_started_and_nothing_downloaded(nntc: FakeNntc, tmp_path: Path) -> None:
    nntc.behave(no_daemon=True)
    with pytest.raises(ToolchainMissing, match=r"docker does not work .*Cannot connect.* Start docker") as caught:
        found(nntc.in_image, tmp_path)
    assert "vendor's site" not in str(caught.value)


@pytest.mark.parametrize(
    ("made", "told"), [("nothing", "there is no /"), ("folder", "but a folder"), ("text", "not executable by this")]
)
def test_no_python(nntc: FakeNntc, tmp_path: Path, made: str, told: str) -> None:
    path = nntc.root / "bin" / "python3"
    path.unlink()
    if made == "folder":
        path.mkdir()
    elif made == "text":
        path.touch()
    with pytest.raises(ToolchainMissing, match=rf"{told}.*Name in `toolchain\.nntc\.python`") as caught:
        found(nntc.in_place, tmp_path)
    assert "vendor's site" not in str(caught.value)


@pytest.mark.parametrize(
    ("end", "told"), [("exit 3", r"does not start \(exit status 3\)"), ("", "gives no answer, so it is no Python 3")]
)
def test_a_python_that_does_not_start_or_is_none(nntc: FakeNntc, tmp_path: Path, end: str, told: str) -> None:
    (nntc.root / "bin" / "python3").write_text(f"#!/bin/sh\necho broken\n{end}\n")
    with pytest.raises(ToolchainMissing, match=rf"{told}\. See what it says .*nntc\.python` has to name") as caught:
        found(nntc.in_place, tmp_path)
    assert caught.value.log_path is not None and "broken" in caught.value.log_path.read_text()
    assert "vendor's site" not in str(caught.value)


@pytest.mark.parametrize("where", ["in_image", "in_place"])
def test_a_preparation_that_exits_is_told_as_that(nntc: FakeNntc, tmp_path: Path, where: str) -> None:
    (nntc.archive / "scripts" / "envsetup.sh").write_text("echo wrong machine; exit 4\n")
    told = r"envsetup\.sh ends the shell .*\(exit status 4\)\. See in the log"
    with pytest.raises(ToolchainMissing, match=told) as caught:
        found(getattr(nntc, where), tmp_path)
    assert caught.value.log_path is not None and "wrong machine" in caught.value.log_path.read_text()


def test_a_look_is_announced_and_one_that_takes_too_long_ends(
    nntc: FakeNntc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nntc.behave(look_s=60)
    monkeypatch.setattr("tasks.toolchain.nntc.provide._LOOK_S", 0.5)
    with caplog.at_level("INFO"), pytest.raises(ToolchainMissing, match=r"did not answer within 0\.5 s\. Start that"):
        provide(nntc.in_place, root=tmp_path / "cache")
    assert caplog.messages == [f"looking at tpu-nntc 3.1.0 in {nntc.root / 'bin' / 'python3'}"]


def test_a_container_has_longer_to_start(nntc: FakeNntc, tmp_path: Path) -> None:
    provide(nntc.in_image, root=tmp_path / "cache")
    assert nntc.limits() == ["120"]


def test_packages_are_told_without_setuptools_too(nntc: FakeNntc, tmp_path: Path) -> None:
    (nntc.root / "site" / "pkg_resources.py").unlink()
    nntc.installed("bmnetp", "3.1.0")
    first = found(nntc.in_place, tmp_path)
    nntc.installed("numpy", "1.19.5")
    assert found(nntc.in_place, tmp_path).fingerprint != first.fingerprint
    nntc.installed("bmnetp", "2.7.0")
    with pytest.raises(ToolchainMissing, match=r"its bmnetp is 2\.7\.0, older"):
        found(nntc.in_place, tmp_path)


@pytest.mark.parametrize("has", ["nothing", "numpy"])
def test_a_version_that_nothing_tells_is_remarked(
    nntc: FakeNntc, tmp_path: Path, has: str, caplog: pytest.LogCaptureFixture
) -> None:
    (nntc.root / "site" / "pkg_resources.py").unlink()
    if has == "numpy":
        nntc.installed("numpy", "1.19.5")
    found(nntc.in_place, tmp_path)
    (told,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert "no version of bmnetp" in told and "3.1.0 or newer was not checked" in told


def test_programs_that_nothing_used_for_a_month_go_and_those_in_use_stay(nntc: FakeNntc, tmp_path: Path) -> None:
    def there() -> set[str]:
        return {path.name for path in (tmp_path / "cache" / "nntc").iterdir()} - {"scratch", "logs"}

    old = Path(found(nntc.in_place, tmp_path).root)
    long_ago = time.time() - 40 * 24 * 3600
    foreign = old.with_name("mine.lock")
    foreign.touch()
    for lock in (old.with_name(f"{old.name}.lock"), foreign):
        os.utime(lock, (long_ago, long_ago))
    (nntc.archive / "another").touch()
    new = Path(found(nntc.in_place, tmp_path).root)
    assert there() == {new.name, f"{new.name}.lock", "mine.lock"}
    found(nntc.in_place, tmp_path)
    assert new.with_name(f"{new.name}.lock").stat().st_mtime > time.time() - 60


@pytest.mark.parametrize(
    ("lost", "named"),
    [("site/bmnetp.py", "bmnetp"), ("site/ufw", "ufw.cali.cali_model"), ("site/ufw/cali/cali_model.py", "cali_model")],
)
def test_modules_that_cannot_be_imported_are_named(nntc: FakeNntc, tmp_path: Path, lost: str, named: str) -> None:
    path = nntc.root / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ToolchainMissing, match=f"has no .*{named}"):
        found(nntc.in_place, tmp_path)


def test_a_program_that_is_not_there_is_named(nntc: FakeNntc, tmp_path: Path) -> None:
    (nntc.root / "bin" / "bmnetu").unlink()
    with pytest.raises(ToolchainMissing, match="has no bmnetu"):
        found(nntc.in_place, tmp_path)


def test_an_older_one_than_the_commands_are_planned_for(nntc: FakeNntc, tmp_path: Path) -> None:
    nntc.packages(bmnetp="2.7.0")
    with pytest.raises(ToolchainMissing, match=r"its bmnetp is 2\.7\.0, older than 3\.1\.0"):
        found(nntc.in_place, tmp_path)


@pytest.mark.parametrize(("version", "is_old"), [("3", True), ("3.0", True), ("3.1", False), ("3.1+cpu", False)])
def test_what_a_short_version_leaves_out_is_zero(nntc: FakeNntc, tmp_path: Path, version: str, is_old: bool) -> None:
    nntc.packages(bmnetp=version)
    with pytest.raises(ToolchainMissing, match=r"older than 3\.1\.0") if is_old else nullcontext():
        found(nntc.in_place, tmp_path)


def test_docker_is_asked_for_the_image_as_it_is_told_to_run_it(
    nntc: FakeNntc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://another.example.com:2375")
    assert found(nntc.in_image, tmp_path).python


def test_the_container_of_the_look_ends_by_itself_too(nntc: FakeNntc, tmp_path: Path) -> None:
    found(nntc.in_image, tmp_path)
    assert nntc.limits() == ["60"]


def test_several_builds_look_at_the_same_time(nntc: FakeNntc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nntc.behave(look_s=0.3)
    writing: list[int] = []

    def noted(folder: Path) -> None:
        writing.append(1)
        assert len(writing) == 1, "what a folder holds is written down while another writes to it"
        time.sleep(0.05)
        write_contents(folder)
        writing.pop()

    monkeypatch.setattr("tasks.toolchain.nntc.programs.write_contents", noted)
    with ThreadPoolExecutor(4) as pool:
        every = list(pool.map(lambda _: found(nntc.in_place, tmp_path), range(8)))
    assert len(set(every)) == 1
    left = {path.name for path in (tmp_path / "cache" / "nntc").rglob("*") if "scratch" in path.parts}
    assert left <= {"scratch"} and list((tmp_path / "cache" / "nntc" / "logs").iterdir()) == []


@pytest.mark.parametrize("what", ["a file", "a folder", "the script"])
def test_an_archive_that_cannot_be_read_is_told_with_what_it_is(
    nntc: FakeNntc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    # As root may read everything, the operating system's answer is put in its place.
    def denied(path: object, *more: object) -> object:
        if str(path).startswith(str(nntc.archive)):
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path, *more)  # type: ignore[operator]

    if what == "a file":
        usual: object = digest_file
        monkeypatch.setattr("tasks.toolchain.nntc.provide.digest_file", denied)
    elif what == "a folder":
        usual = os.scandir
        monkeypatch.setattr(os, "scandir", denied)
    else:
        usual = Path.is_file
        monkeypatch.setattr(Path, "is_file", denied)
    with pytest.raises(ToolchainMissing, match=r"tpu-nntc cannot be read to its end: .*Permission denied"):
        found(nntc.in_place, tmp_path)
