"""Devices in the settings: tables by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import SettingsError, load_settings
from settings.devices import LocalDevice, SimulatorDevice, SshDevice, nearest_device

PROFILE = """
extends = "sample"

[devices.board]
kind = "ssh"
host = "10.0.0.5"
user = "linaro"
key = "keys/board"
python = "python3.8"

[devices.card-0]
kind = "local"
chip = "BM1684X"
"""


def problems(*overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings("sample", overrides=overrides, environ={})
    return str(caught.value)


def test_the_simulator_is_always_there() -> None:
    assert load_settings("sample", environ={}).devices == {"simulator": SimulatorDevice()}


def test_a_profile_adds_devices_and_paths_start_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(PROFILE)
    devices = load_settings(tmp_path / "mine.toml", environ={}).devices
    assert set(devices) == {"simulator", "board", "card-0"}
    board = devices["board"]
    assert isinstance(board, SshDevice) and board.key == tmp_path / "keys/board" and board.engine == "sail"
    # A name on the device, not a file here.
    assert board.python == "python3.8"
    assert devices["card-0"] == LocalDevice(kind="local", chip="BM1684X")


def test_what_is_described_gives_the_same_devices_again(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(PROFILE)
    found = load_settings(tmp_path / "mine.toml", environ={})
    text = found.describe()
    assert 'devices.board.host = "10.0.0.5"  # profile' in text and 'devices.simulator.python = "none"' in text
    (tmp_path / "again.toml").write_text(text)
    assert load_settings(tmp_path / "again.toml", environ={}).devices == found.devices


def test_one_key_of_the_simulator_keeps_the_others_and_the_environment_can_set_it() -> None:
    found = load_settings("sample", environ={"CENTERNET_DEVICES__SIMULATOR__RUN_TIMEOUT": "60"})
    assert found.devices == {"simulator": SimulatorDevice(run_timeout=60)}


def test_an_empty_table_of_devices_takes_none_away(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "sample"\n[devices]\n')
    assert "simulator" in load_settings(tmp_path / "mine.toml", environ={}).devices


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("devices.b.kind=ssh", "devices.b.host=b", "devices.b.usr=me"), "did you mean devices.b.user?"),
        (("devices.b.kind=shh",), "did you mean ssh?"),
        (("devices.b.host=b",), "devices.b.kind: is missing"),
        (("devices.b.kind=ssh",), "devices.b.host: is missing"),
        (("devices.b.kind=ssh", "devices.b.host=-oProxyCommand=x"), "devices.b.host: is no host name"),
        (("devices.b.kind=ssh", "devices.b.host=b", "devices.b.user=-l"), "devices.b.user: is no user name"),
        (("devices.b.kind=local", "devices.b.host=b"), 'is not a key of kind "local"'),
        (("devices.b.kind=local", "devices.b.chip=BM1685"), "allowed: BM1684, BM1684X, BM1688, or none"),
        (("devices.b.kind=ssh", "devices.b.host=b", "devices.b.port=0"), "0 is out of range"),
        (("devices.B.kind=local",), "'B' cannot be a device's name"),
        (("devices=3",), "devices: 3 is not a table"),
    ],
)
def test_what_is_wrong_with_a_device_is_said(overrides: tuple[str, ...], said: str) -> None:
    assert said in problems(*overrides)


def test_another_kind_takes_the_place_of_the_whole_device(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(PROFILE)
    found = load_settings(tmp_path / "mine.toml", overrides=["devices.board.kind=local"], environ={})
    assert found.devices["board"] == LocalDevice(kind="local")


def test_the_nearest_device_is_suggested() -> None:
    devices = {"simulator": SimulatorDevice(), "board": LocalDevice(kind="local")}
    assert nearest_device("baord", devices) == (
        "there is no device 'baord', did you mean board? The settings have: board, simulator"
    )
    assert nearest_device("x", devices) == "there is no device 'x'. The settings have: board, simulator"
