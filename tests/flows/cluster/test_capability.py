"""What a worker must have in common with a build."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.cluster import capability
from flows.cluster.capability import ROOT, capabilities, code_digest, lacking, resources


def test_a_worker_of_the_same_code_and_packages_lacks_nothing() -> None:
    assert lacking(resources(4)) == "" and set(resources(4).values()) == {4}
    assert lacking([*resources(1), "GPU", "MEMORY"]) == ""


def test_a_stranger_is_told_as_one() -> None:
    assert lacking([]) == lacking(["GPU"]) == "not started by python -m flows.worker"


@pytest.mark.parametrize("kind", ["code", "packages", "python"])
def test_what_is_different_is_named(kind: str) -> None:
    names = [name for name in resources(1) if not name.startswith(f"centernet-{kind}-")]
    assert lacking([*names, f"centernet-{kind}-other"]) == f"{kind} other instead of {capabilities()[kind]}"
    assert lacking(names) == f"{kind} none instead of {capabilities()[kind]}"


def test_a_changed_module_and_a_changed_list_of_versions_are_another_code(tmp_path: Path) -> None:
    for name in ("tasks", "flows"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pth", "__pycache__"))
    before = code_digest(tmp_path)
    assert before == code_digest(tmp_path)
    lock = next((tmp_path / "tasks" / "toolchain" / "locks").glob("*.txt"))
    for path in (tmp_path / "flows" / "worker.py", lock):
        path.write_text(path.read_text() + "\n")
        assert code_digest(tmp_path) != before
        before = code_digest(tmp_path)
    (tmp_path / "tasks" / "__pycache__").mkdir()
    (tmp_path / "tasks" / "__pycache__" / "step.pyc").write_bytes(b"compiled")
    assert code_digest(tmp_path) == before


def test_packages_that_are_not_installed_have_a_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability, "_DECIDING", ("no-such-package",))
    assert capability.package_versions() == {"no-such-package": "none"}
