"""An environment that is called ready is whole after a power cut."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import uv

from tasks.toolchain import provision as provisioning
from tests.artifacts.disks import Disk, cuttable
from tests.tasks.toolchain.fakes import FakeUv


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("journal", [False, True])
def test_the_compiler_that_was_installed_is_whole_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: bool
) -> None:
    with cuttable(tmp_path, 128 << 20) as disk:
        environments_cut_off(disk, tmp_path, monkeypatch, journal=journal)


def environments_cut_off(disk: Disk, folder: Path, patch: pytest.MonkeyPatch, *, journal: bool) -> None:
    """Cut the power as soon as the compiler is installed."""
    fake = FakeUv(folder / "uv", disk.mounted / "cache")
    patch.setattr(uv, "find_uv_bin", lambda: str(fake.path))
    patch.setattr(provisioning, "NEEDED_BYTES", 1)
    patch.setenv("PYENV_ROOT", str(folder / "no-pyenv"))
    os.sync()
    made = fake.provision()
    before = contents(fake.environment)
    disk.cut(journal=journal)
    assert contents(fake.environment) == before, "a file of an environment that is called ready lost its bytes"
    assert fake.provision() == made and len(fake.calls("pip install")) == 1
