"""The commands that make keys, sign releases and move channels, up to a device that pulls what they signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.promote import run_promote
from flows.sign import run_sign
from inference.__main__ import main
from tasks.signing_key import PASSPHRASE_VARIABLE
from tests.inference.deploy.support import publish

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _library() -> None:
    pytest.importorskip("securesystemslib", reason="signatures need the package securesystemslib")


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    assert run_sign(["keygen", str(tmp_path / "publisher")]) == 0
    return str(tmp_path / "publisher")


def pulled(folder: Path, name: str) -> int:
    options = ["--chip", "BM1684X", "--precision", "int8", "--no-activate", "--signed-as", "centernet"]
    options += ["--keys", str(folder / "publisher.pub"), "--store", str(folder / "device")]
    return main(["pull", f"oci:{folder}/registry:{name}", *options])


def test_from_a_new_key_to_a_device_that_trusts_it(tmp_path: Path, key: str, capsys: Capture) -> None:
    first, second = str(publish(tmp_path, "1.0.0")), str(publish(tmp_path, "1.1.0"))
    assert pulled(tmp_path, "1.0.0") == 1
    for reference in (first, second):
        assert run_sign(["release", reference, "--key", key]) == 0
    assert run_promote([first, "--channel", "stable", "--key", key, "--expires", "30"]) == 0
    assert "stable is centernet 1.0.0 sha256:" in capsys.readouterr().out
    assert pulled(tmp_path, "1.0.0") == pulled(tmp_path, "stable") == 0
    assert run_promote([second, "--channel", "stable", "--key", key]) == 0
    assert pulled(tmp_path, "stable") == 0
    assert run_promote([first, "--channel", "stable", "--key", key]) == 0
    assert capsys.readouterr().out.rstrip().endswith("serial 3")
    assert pulled(tmp_path, "stable") == 0
    assert "centernet 1.0.0 sha256:" in capsys.readouterr().out


def test_a_new_key_is_told_with_where_its_halves_belong(tmp_path: Path, capsys: Capture) -> None:
    assert run_sign(["keygen", str(tmp_path / "publisher")]) == 0
    shown = capsys.readouterr().out
    assert f"public key   {tmp_path}/publisher.pub" in shown and "keys/ of every device's store" in shown


def test_what_was_done_before_is_said_to_be_so(tmp_path: Path, key: str, capsys: Capture) -> None:
    reference = str(publish(tmp_path))
    for _ in range(2):
        assert run_sign(["release", reference, "--key", key]) == 0
        assert run_promote([reference, "--channel", "latest", "--key", key]) == 0
    shown = capsys.readouterr().out
    assert "was signed already: centernet 1.0.0" in shown and "serial 1 as before" in shown


def test_without_a_key_the_channel_moves_unsigned_and_says_so(tmp_path: Path, capsys: Capture) -> None:
    assert run_promote([str(publish(tmp_path)), "--channel", "stable"]) == 0
    assert "unsigned: devices with pinned keys do not take it" in capsys.readouterr().out


def test_failures_are_one_line_and_a_mistyped_folder_is_not_made(tmp_path: Path, key: str, capsys: Capture) -> None:
    capsys.readouterr()
    assert run_promote([f"oci:{tmp_path}/regsitry:1.0.0", "--channel", "stable", "--key", key]) == 1
    assert not (tmp_path / "regsitry").exists()
    assert run_promote([str(publish(tmp_path)), "--channel", "stable", "--key", key]) == 1
    assert run_promote(["nowhere", "--channel", "stable"]) == 1
    assert run_sign(["keygen", key]) == 1
    assert run_sign(["release", str(publish(tmp_path)), "--key", str(tmp_path / "none")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5 and all(line.startswith("error: ") for line in lines)


@pytest.mark.parametrize("options", [["--expires", "0"], ["--expires", "soon"], ["--serial", "-1"], ["--channel", "x"]])
def test_wrong_usage_is_told(options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_promote(["oci:x:1", "--channel", "stable", *options])
    assert caught.value.code == 2
