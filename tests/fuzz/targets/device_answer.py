"""`tasks.devices`: what a device says of itself, and the report that it sends back."""

from __future__ import annotations

import json
from collections.abc import Iterator

from artifacts.digest import digest_bytes
from artifacts.evidence import Evidence
from artifacts.release import Accuracy
from inference.annotations import dataset_digest
from inference.measuring import Figures, Setting
from inference.validate import ValidationReport
from settings.devices import LocalDevice
from tasks.devices import failures, reports
from tasks.devices.answers import Looked, Ran, answered
from tasks.errors import DeviceError
from tasks.records import ImageSet, StoredImage
from tests.artifacts.releases import blob_of, record
from tests.fuzz.places import written

JSON = True
_DEVICE = LocalDevice(kind="local")
_IMAGES = ImageSet(images=(StoredImage(name="a.jpg", blob=blob_of(b"a")),), annotations=None)


def target(data: bytes) -> None:
    """Read the input as each of the answers, and as the report in one."""
    log = written("device.log", b"error: no\n")
    release = record()
    for kind in (Looked, Ran, list[str], str):
        try:
            answer = answered("board", data, kind)
            if isinstance(answer, Looked):
                reports.examined("board", _DEVICE, answer)
        except DeviceError:
            continue
    try:
        ran = Ran(status=1, report=data.decode("utf-8", "replace"))
        report = reports.checked_report("board", ran, release, release.variants[0], _IMAGES, log)
        evidence = reports.evidence_from(report, digest_bytes(b"r"), "board", "2026-11-26T12:00:00Z")
        assert Evidence.model_validate_json(evidence.to_json()) == evidence
    except DeviceError:
        pass
    failures.failure("board", _DEVICE, len(data) % 80, data.decode("utf-8", "replace"), None)


def seeds() -> Iterator[bytes]:
    """What a sound device answers."""
    findings = [
        {"topic": topic, "state": "found", "value": value, "advice": ""}
        for topic, value in (("numpy", "1.24"), ("driver", "0.5.1"), ("device 0", "BM1684X"), ("simulator", "x"))
    ]
    yield json.dumps(
        {"python": "3.8.2", "machine": "aarch64", "doctor": {"findings": findings, "engine": "sail"}}
    ).encode()
    yield b'{"status":0,"report":"{}"}'
    yield b'["sha256:00"]'
    release = record()
    chosen = release.variants[0]
    sent = dataset_digest("", [(image.name, image.blob.digest) for image in _IMAGES.images])
    assert release.protocol is not None
    report = ValidationReport(
        setting=Setting(
            engine="sail",
            chip=chosen.variant.chip,
            release=release.name,
            version=release.version,
            variant=chosen.variant.path,
            model_digest=chosen.blob.digest,
            versions={"sail": "3.8.0"},
        ),
        protocol=release.protocol.model_copy(update={"dataset_digest": sent}),
        ap=0.36,
        ap50=0.5,
        by_class={"person": None},
        recorded=Accuracy(ap=0.36, ap50=0.55),
        comparable=True,
        comparison="equal",
        stages={"decode": Figures(median_ms=1.0, p95_ms=2.0)},
        images_per_second=10.0,
    )
    yield report.to_json()
