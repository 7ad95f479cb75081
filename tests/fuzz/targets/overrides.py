"""`--set KEY=VALUE` and `CENTERNET_...`: one a line; those that begin with `CENTERNET_` are of the environment."""

from __future__ import annotations

from collections.abc import Iterator

from settings.errors import SettingsError
from settings.load import load_settings


def target(data: bytes) -> None:
    """Load the sample with them."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    environ = dict(line.partition("=")[::2] for line in lines if line.startswith("CENTERNET_"))
    try:
        settings = load_settings(
            overrides=[line for line in lines if not line.startswith("CENTERNET_")], environ=environ
        )
    except SettingsError as error:
        str(error).encode()
        return
    settings.describe().encode()


def seeds() -> Iterator[bytes]:
    """Keys of every type, right and wrong."""
    yield b'calibration.count=8\nquantize.float_layers=["heads"]\nmatrix.chips=["BM1688"]'
    yield b"CENTERNET_CALIBRATION__COUNT=8\nCENTERNET_WORKERS=2\nnetwork.width=0.25"
    yield b"weights.mirrors=https://host.example/a.pth\nrelease.push=registry.example.com/m/c"
    yield b"devices.board.kind=ssh\ndevices.board.host=h\ndevices.board.port=0x16\ngate.max_drop=1e-3"
