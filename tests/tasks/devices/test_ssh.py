"""Validation on a device behind a real sshd; the device's package is a stand-in."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.digest import digest_bytes
from artifacts.evidence import evidence_of, summary
from artifacts.reference import parse_reference
from artifacts.registry import open_registry
from tasks.devices.steps import look
from tasks.errors import (
    ConnectionLost,
    DeviceEngineMissing,
    DeviceError,
    DevicePackageMissing,
    DevicePythonMissing,
    DeviceRefused,
    DeviceRunFailed,
    DeviceUnreachable,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    ReportRefused,
    SshMissing,
)
from tasks.records import StoredImage
from tests.tasks.devices.sshd import Cutter, Sshd, free_port, make_key, sshd
from tests.tasks.devices.support import INT8, NAME, Bench, StandIn, delivered, ssh_device, validated


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("ssh") / "sshd") as running:
        yield running


def test_a_release_is_copied_run_there_and_its_evidence_attached(server: Sshd, made: StandIn, found: Bench) -> None:
    before = layout.resolve(found.registry, "1.0.0")
    evidence = validated(found, ssh_device(server, made))
    assert evidence.variant == INT8 and evidence.accuracy is not None and evidence.accuracy.ap == 0.5
    with open_registry(parse_reference(found.reference)) as registry:
        assert evidence_of(registry, found.digest) == (evidence,)
        assert summary((evidence,)) == "simulator only (3 images)"
    assert layout.resolve(found.registry, "1.0.0") == before and layout.check(found.registry) == []
    assert set(layout.tags(found.registry)) == {"1.0.0", "latest"}
    assert list(found.workspace.logs.iterdir()) == [] and list((made.folder / "on device/runs").iterdir()) == []


def test_a_second_run_copies_nothing_and_a_damaged_file_alone_again(server: Sshd, made: StandIn, found: Bench) -> None:
    device = ssh_device(server, made)
    first = delivered(found, device)
    assert first.copied == 6
    assert delivered(found, device) == first.model_copy(update={"copied": 0, "copied_bytes": 0})
    data = found.images.images[0].blob
    path = made.folder / "on device/blobs/sha256" / data.digest.partition(":")[2]
    path.write_bytes(b"x" * data.size)
    assert delivered(found, device).copied == 1
    assert digest_bytes(Path(first.data, "images/a.jpg").read_bytes()) == data.digest


def test_a_connection_cut_while_copying_goes_on_where_it_was(server: Sshd, made: StandIn, found: Bench) -> None:
    size, count = 400_000, 16
    blobs = [found.workspace.content.put_bytes(os.urandom(size)) for _ in range(count)]
    images = tuple(StoredImage(name=f"{number}.png", blob=blob) for number, blob in enumerate(blobs))
    many = found._replace(images=found.images.model_copy(update={"images": images}))
    cutter = Cutter(server.port)
    device = ssh_device(server, made, port=cutter.port, known_hosts=made.folder / "known", new_host_keys="record")
    # More than what is under way at a time, 2 MiB in OpenSSH: something has arrived by then.
    cutter.limit = 4_500_000
    with pytest.raises(ConnectionLost, match="run it again"):
        delivered(many, device)
    store = made.folder / "on device/blobs/sha256"
    arrived = [path for path in store.iterdir() if not path.name.startswith(".")]
    assert 0 < len(arrived) < count
    cutter.limit, cutter.passed = None, 0
    second = delivered(many, device)
    assert 0 < second.copied <= count + 3 - len(arrived)
    assert cutter.passed < second.copied_bytes + size
    assert not list(store.glob(".*")) and len(list(Path(second.data, "images").iterdir())) == count
    cutter.close()


def test_a_host_that_is_down_is_said_to_be(server: Sshd, made: StandIn, found: Bench) -> None:
    with pytest.raises(DeviceUnreachable, match=r"device board: 127\.0\.0\.1 port \d+ cannot be reached: .*refused"):
        look.fn(NAME, ssh_device(server, made, port=free_port()), found.workspace)


def test_a_host_that_has_no_address_is_said_to_have_none(server: Sshd, made: StandIn, found: Bench) -> None:
    with pytest.raises(DeviceUnreachable, match="resolve"):
        look.fn(NAME, ssh_device(server, made, host="no-such-host.invalid"), found.workspace)


def test_a_wrong_key_is_not_let_in(server: Sshd, made: StandIn, found: Bench, tmp_path: Path) -> None:
    device = ssh_device(server, made, key=make_key(tmp_path / "other key"))
    with pytest.raises(LoginRefused, match=r"does not let .* in with the key .*other key.*authorized_keys"):
        look.fn(NAME, device, found.workspace)


def test_a_key_that_is_not_there_is_named(server: Sshd, made: StandIn, found: Bench, tmp_path: Path) -> None:
    with pytest.raises(LoginRefused, match="nowhere"):
        look.fn(NAME, ssh_device(server, made, key=tmp_path / "nowhere"), found.workspace)


def test_a_changed_host_key_stops_everything(server: Sshd, made: StandIn, found: Bench, tmp_path: Path) -> None:
    other = " ".join(make_key(tmp_path / "impostor").with_suffix(".pub").read_text().split()[:2])
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {other}\n")
    for policy in ("refuse", "record"):
        device = ssh_device(server, made, known_hosts=known, new_host_keys=policy)
        with pytest.raises(HostKeyChanged, match=rf"ssh-keygen -f {known} -R '\[127.0.0.1\]:{server.port}'"):
            look.fn(NAME, device, found.workspace)


def test_a_host_never_seen_is_refused_or_recorded_as_the_settings_say(
    server: Sshd, made: StandIn, found: Bench, tmp_path: Path
) -> None:
    known = tmp_path / "none yet"
    with pytest.raises(HostKeyUnknown, match=r'devices\.board\.new_host_keys = "refuse"'):
        look.fn(NAME, ssh_device(server, made, known_hosts=known), found.workspace)
    assert not known.exists()
    look.fn(NAME, ssh_device(server, made, known_hosts=known, new_host_keys="record"), found.workspace)
    look.fn(NAME, ssh_device(server, made, known_hosts=known), found.workspace)


def test_a_python_that_is_not_there_is_named(server: Sshd, made: StandIn, found: Bench) -> None:
    with pytest.raises(DevicePythonMissing, match=r"no program '/opt/no such/python'.*devices\.board\.python"):
        look.fn(NAME, ssh_device(server, made, python="/opt/no such/python"), found.workspace)


def test_a_python_that_is_too_old_is_said_to_be(server: Sshd, made: StandIn, found: Bench) -> None:
    made.python.write_text("#!/bin/sh\nexit 70\n")
    with pytest.raises(DevicePythonMissing, match=r"older than 3\.8"):
        look.fn(NAME, ssh_device(server, made), found.workspace)


def test_a_python_without_the_package_comes_with_the_command_that_installs_it(
    server: Sshd, made: StandIn, found: Bench
) -> None:
    device = ssh_device(server, made, python="/usr/bin/python3")
    if not Path(device.python).exists():
        pytest.skip("there is no /usr/bin/python3 here")
    with pytest.raises(DevicePackageMissing, match=r"No module named .*inference") as caught:
        look.fn(NAME, device, found.workspace)
    key, login = server.key, f"{server.user}@127.0.0.1"
    wheel = "centernet_sophon_device-*.whl"
    assert str(caught.value).endswith(
        f"make wheel && scp -i {key} -P {server.port} build/wheel/{wheel} {login}:/tmp/ && ssh -i {key} -p "
        f"{server.port} {login} '/usr/bin/python3 -m pip install /tmp/{wheel}'"
    )


def test_a_package_that_lacks_another_one_says_which(server: Sshd, made: StandIn, found: Bench) -> None:
    made.switch("no-numpy")
    with pytest.raises(DevicePackageMissing, match="numpy: there is no package numpy"):
        look.fn(NAME, ssh_device(server, made), found.workspace)


@pytest.mark.parametrize(("engine", "topic"), [("sail", "libsophon"), ("simulator", "simulator")])
def test_a_device_without_the_engine_says_what_is_missing(
    engine: str, topic: str, server: Sshd, made: StandIn, found: Bench
) -> None:
    made.switch("no-engine")
    with pytest.raises(DeviceEngineMissing, match=f"the engine '{engine}' is not there: .*{topic}: none -> install it"):
        look.fn(NAME, ssh_device(server, made, engine=engine), found.workspace)


def test_sail_is_not_replaced_by_a_simulator(server: Sshd, made: StandIn, found: Bench) -> None:
    with pytest.raises(DeviceEngineMissing):
        look.fn(NAME, ssh_device(server, made, engine="sail"), found.workspace)


def test_the_chip_of_the_device_chooses_the_model(server: Sshd, made: StandIn, found: Bench) -> None:
    made.switch("chip", "BM1688")
    evidence = validated(found, ssh_device(server, made, engine="sail"), chip=None, precision=None)
    assert evidence.variant == "BM1688/centernet_int8_4b_2core.bmodel"
    assert summary((evidence,)) == "on device BM1688, libsophon 0.5.1, sail 3.8.0 (3 images)"


def test_a_run_that_fails_there_says_why_and_keeps_the_log(server: Sshd, made: StandIn, found: Bench) -> None:
    made.switch("fail", "the engine gave NaN")
    with pytest.raises(DeviceRunFailed, match="status 1: the engine gave NaN") as caught:
        validated(found, ssh_device(server, made))
    assert "Traceback or so" in caught.value.log_path.read_text()


@pytest.mark.parametrize(
    ("switch", "text", "said"),
    [("other-model", digest_bytes(b""), "another model"), ("unreadable", "on", "1 images could not be read")],
)
def test_a_report_about_something_else_is_not_attached(
    switch: str, text: str, said: str, server: Sshd, made: StandIn, found: Bench
) -> None:
    made.switch(switch, text)
    with pytest.raises(ReportRefused, match=said):
        validated(found, ssh_device(server, made))
    with open_registry(parse_reference(found.reference)) as registry:
        assert evidence_of(registry, found.digest) == ()


def test_a_folder_that_cannot_be_written_is_said_to_be(server: Sshd, made: StandIn, found: Bench) -> None:
    made.folder.joinpath("file").touch()
    with pytest.raises(DeviceRefused, match="Not a directory"):
        delivered(found, ssh_device(server, made, folder=str(made.folder / "file" / "x")))


def test_nothing_goes_on_there_when_the_connection_ends(server: Sshd, made: StandIn, found: Bench) -> None:
    made.switch("hold")
    errors: list[DeviceError] = []

    def work() -> None:
        try:
            validated(found, ssh_device(server, made, run_timeout=4))
        except DeviceError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 60
    while not (made.folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    pid = int((made.folder / "pid").read_text())
    thread.join()
    assert isinstance(errors[0], ConnectionLost) and "still at work after 4 s" in str(errors[0])
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_a_machine_without_ssh_says_so(
    server: Sshd, made: StandIn, found: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = ssh_device(server, made)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SshMissing, match="apt-get install openssh-client"):
        look.fn(NAME, device, found.workspace)
