"""What the log of an installation tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.toolchain.installer import Installer


@pytest.mark.parametrize(
    ("log", "share"),
    [
        ("$ /uv python find --system 3.10\n", 0.0),
        ("$ /uv venv --python /p /e\n", 0.1),
        ("$ /uv venv --python /p /e\n$ /uv pip install --python /e/bin/python tpu_mlir\nResolved 90 packages\n", 0.1),
        ("$ /uv venv /e\n$ /uv pip install x\nDownloading a (1GiB)\nDownloading b (9MiB)\n Downloaded b\n", 0.5),
        (
            "$ /uv venv /e\n$ /uv pip install x\nDownloading a (1GiB)\n Downloaded a\n$ /e/bin/python -c 'import a'\n",
            0.9,
        ),
    ],
)
def test_how_far_an_installation_is_is_read_from_its_log(log: str, share: float, tmp_path: Path) -> None:
    with Installer(tmp_path / "log", 1.0) as installer:
        (tmp_path / "log").write_text(log)
        assert installer.share_done() == pytest.approx(share)
