"""A publisher and a device that trusts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inference.deploy.trusting import Device, Publisher


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture
def device(tmp_path: Path, publisher: Publisher) -> Device:
    return Device(tmp_path, [publisher.signer.key])
