"""What a device remembers: `inference.deploy.state.DeviceState`, and the serials of channels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from artifacts.digest import digest_bytes
from inference.deploy.state import DeviceState, PulledRelease
from inference.deploy.trust import _recall
from inference.errors import DeployError
from tests.artifacts.releases import blob_of
from tests.fuzz.places import scratch, written

JSON = True


def target(data: bytes) -> None:
    """Read both; a state that is accepted is written and read back."""
    written("trust.json", data)
    with contextlib.suppress(DeployError):
        _recall(scratch())
    try:
        state = DeviceState.from_json(data, "state.json")
    except DeployError:
        return
    assert DeviceState.from_json(state.to_json(), "state.json") == state


def seeds() -> Iterator[bytes]:
    """A device with one release, and one that knows a channel."""
    folder = "0f" * 32 + "-all"
    release = PulledRelease(
        folder=folder,
        digest=digest_bytes(b"r"),
        references=("localhost/centernet:stable",),
        name="centernet",
        version="1.0.0",
        models=("BM1684X/centernet_int8_1b.bmodel",),
        files={"BM1684X/centernet_int8_1b.bmodel": blob_of(b"m")},
        self_test="passed",
    )
    yield DeviceState(releases=(release,), current=folder).to_json()
    yield b'{"channels":{"centernet/stable":{"serial":7,"digest":"%s"}}}' % digest_bytes(b"r").encode()
