"""A device whose package is a stand-in, and a small release for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import pytest

from artifacts import layout
from artifacts.evidence import Evidence
from settings.devices import Device, LocalDevice, SshDevice
from tasks.devices.records import Delivered, Request
from tasks.devices.steps import attach, deliver, look, run_validation, take_release
from tasks.records import ImageSet, StoredImage
from tasks.workspace import Workspace
from tests.artifacts.releases import release
from tests.tasks.devices.sshd import Sshd

STAND_IN = Path(__file__).parent / "stand_in"
INT8 = "BM1684X/centernet_int8_1b.bmodel"
NAME = "board"


class StandIn(NamedTuple):
    """The device's side.

    Attributes:
        python: Its Python.
        folder: Where its switches are.
    """

    python: Path
    folder: Path

    def switch(self, name: str, text: str = "on") -> None:
        """Turn a switch on."""
        (self.folder / name).write_text(text)

    @property
    def runs(self) -> list[str]:
        """The validations that began and ended there."""
        path = self.folder / "runs"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def made(tmp_path: Path) -> StandIn:
    """The device's side, in a folder whose name a shell must not read."""
    folder = tmp_path / "de'vice $HOME"
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python3"
    variables = f"PYTHONPATH={quote(str(STAND_IN))} STAND_IN_FOLDER={quote(str(folder))}"
    python.write_text(f'#!/bin/sh\n{variables} exec {quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    return StandIn(python, folder)


def ssh_device(server: Sshd, made: StandIn, **changes: object) -> SshDevice:
    """Return the settings of a device behind a server."""
    values = {
        **server.settings,
        "python": str(made.python),
        "folder": str(made.folder / "on device"),
        "engine": "simulator",
        "connect_timeout": 10,
    }
    return SshDevice.model_validate({**values, **changes})


def local_device(made: StandIn) -> LocalDevice:
    """Return the settings of a device in this machine."""
    return LocalDevice(kind="local", python=str(made.python), engine="simulator")


class Bench(NamedTuple):
    """What a validation starts from.

    Attributes:
        workspace: A store.
        registry: A layout with one release.
        digest: The release's.
        images: Three images.
    """

    workspace: Workspace
    registry: Path
    digest: str
    images: ImageSet

    @property
    def reference(self) -> str:
        return f"oci:{self.registry}:1.0.0"


@pytest.fixture
def found(tmp_path: Path) -> Bench:
    """A release and images."""
    record, files = release(tmp_path / "files")
    published = layout.publish(tmp_path / "registry", record, files, ["1.0.0", "latest"])
    workspace = Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))
    names = ("a.jpg", "b c.jpg", "night/d.jpg")
    stored = tuple(StoredImage(name=name, blob=workspace.content.put_bytes(name.encode() * 9)) for name in names)
    annotations = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "annotations": [],
        "categories": [{"id": 1, "name": "person"}],
    }
    blob = workspace.content.put_bytes(json.dumps(annotations).encode())
    return Bench(workspace, tmp_path / "registry", published.digest, ImageSet(images=stored, annotations=blob))


def delivered(found: Bench, device: Device) -> Delivered:
    """Look at a device and copy the release's smallest model and the images there."""
    request = Request(reference=found.reference, device=NAME, chip="BM1684X", precision="int8")
    machine = look.fn(NAME, device, found.workspace)
    taken = take_release.fn(request, device, machine, found.workspace)
    return deliver.fn(NAME, device, taken, found.images, found.workspace)


def validated(found: Bench, device: Device, **wishes: object) -> Evidence:
    """Do all that the flow does, without Prefect."""
    wanted = {"chip": "BM1684X", "precision": "int8", **wishes}
    request = Request.model_validate({"reference": found.reference, "device": NAME, **wanted})
    machine = look.fn(NAME, device, found.workspace)
    taken = take_release.fn(request, device, machine, found.workspace)
    place = deliver.fn(NAME, device, taken, found.images, found.workspace)
    (chosen,) = taken.chosen
    evidence = run_validation.fn(NAME, device, taken, chosen, found.images, place, found.workspace)
    attach.fn(evidence, found.reference)
    return evidence
