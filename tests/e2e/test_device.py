"""A release validated on a device: a real sshd, Python 3.8 with what the wheel holds, the simulator as its engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest
from prefect.client.orchestration import get_client

from artifacts import layout
from artifacts.digest import digest_bytes
from artifacts.evidence import Evidence, evidence_of, summary
from artifacts.reference import parse_reference
from artifacts.registry import open_registry
from artifacts.release import Protocol, Variant
from flows.validate_command import run_validate
from settings.quantize import Recipe
from tasks.compile import compile_variant
from tests.artifacts.releases import record
from tests.e2e.conftest import SETTINGS, SPEC, Tiny
from tests.tasks.devices.sshd import Sshd, sshd
from tests.tasks.image_files import save, scene

# torch announces that TorchScript will go some day; the compiler reads nothing else.
pytestmark = [pytest.mark.compiler, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]

ROOT = Path(__file__).parents[2]
WHICH = Variant(chip="BM1684X", precision="fp32", batch=1)
METRIC = "COCO bbox AP@[.50:.95]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("ssh") / "sshd") as running:
        yield running


@pytest.fixture
def device_python(tiny: Tiny, tmp_path: Path) -> Path:
    """The Python of the device environment, with the packages of the wheel as they are in this checkout."""
    interpreter = ROOT / ".venv-device" / "bin" / "python"
    if not interpreter.exists():
        print("there is no .venv-device (make test-device): the device runs the build's own Python")
        interpreter = Path(sys.executable)
    packages = tmp_path / "packages"
    packages.mkdir()
    for package in ("artifacts", "inference"):
        (packages / package).symlink_to(ROOT / package)
    variables = f"PYTHONPATH={quote(str(packages))} CENTERNET_TOOLCHAIN_PYTHON={quote(tiny.toolchain.python)}"
    script = tmp_path / "python3"
    script.write_text(f'#!/bin/sh\n{variables} exec {quote(str(interpreter))} "$@"\n')
    script.chmod(0o755)
    return script


def publish(tiny: Tiny, root: Path) -> str:
    """Publish a release of the tiny network, and return its digest."""
    arguments = (WHICH, tiny.model, None, Recipe(), tiny.toolchain, SETTINGS.driving, tiny.workspace)
    made = compile_variant.fn(*arguments)
    plain = record("1.0.0", (WHICH,))
    update = {"blob": made.bmodel, "inputs": made.inputs, "outputs": made.outputs, "accuracy": None}
    protocol = Protocol(
        name="coco", dataset_digest=digest_bytes(b""), images=1, score_floor=0.001, top_k=100, metric=METRIC
    )
    whole = plain.model_copy(
        update={
            "variants": (plain.variants[0].model_copy(update=update),),
            "class_names": tuple(f"class {number}" for number in range(80)),
            "preprocess": SPEC,
            "protocol": protocol,
            "calibration": None,
        }
    )
    files = {WHICH.path: tiny.workspace.content.verified(made.bmodel)}
    return layout.publish(root, whole, files, ["1.0.0"]).digest


def write_images(folder: Path) -> tuple[Path, Path]:
    """Write three annotated images, and return their folder and the annotations."""
    (folder / "images").mkdir()
    for number in range(3):
        save(folder / "images" / f"{number}.png", scene(number, width=96, height=64))
    annotations = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 96, "height": 64} for n in range(3)],
        "annotations": [
            {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [8, 8, 30, 20], "area": 600, "iscrowd": 0}
            for n in range(3)
        ],
        "categories": [{"id": 1, "name": "class 0"}],
    }
    (folder / "annotations.json").write_text(json.dumps(annotations))
    return folder / "images", folder / "annotations.json"


def found_by(reference: str, digest: str) -> tuple[Evidence, ...]:
    with open_registry(parse_reference(reference)) as registry:
        return evidence_of(registry, digest)


def test_a_release_is_validated_over_ssh_in_a_simulator_and_as_here(
    tiny: Tiny,
    server: Sshd,
    device_python: Path,
    prefect_server: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CENTERNET_TOOLCHAIN_PYTHON", tiny.toolchain.python)
    digest, reference = publish(tiny, tmp_path / "registry"), f"oci:{tmp_path / 'registry'}:1.0.0"
    images, annotations = write_images(tmp_path)
    board = {
        **server.settings,
        "python": device_python,
        "folder": tmp_path / "on device",
        "engine": "simulator",
    }
    settings = [f"devices.board.{key}={value}" for key, value in board.items()] + [f"store.path={tmp_path}/store"]
    options = [part for setting in settings for part in ("--set", setting)]
    options += ["--images", str(images), "--annotations", str(annotations)]
    with get_client(sync_client=True) as client:
        for name in ("device-board", "device-simulator"):
            client.upsert_global_concurrency_limit_by_name(name, 1)
    for device in ("board", "simulator"):
        assert run_validate([reference, "--device", device, *options]) == 0, capsys.readouterr().err
    there, here = found_by(reference, digest)
    assert (there.device, here.device) == ("board", "simulator")
    assert there.engine == here.engine == "simulator" and summary((there, here)) == "simulator only (3 images)"
    assert there.versions["python"] != here.versions["python"] or not (ROOT / ".venv-device").exists()
    assert there.accuracy == here.accuracy is not None and there.protocol == here.protocol
    assert layout.check(tmp_path / "registry") == []
