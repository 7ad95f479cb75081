"""Packages for tests, and an installer that has them and nothing else."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

OUR_WHEEL = "centernet_sophon_device-0.1.0-py3-none-any.whl"


def wheel(folder: Path, name: str, needs: str = "") -> Path:
    """A small package that pip installs."""
    folder.mkdir(parents=True, exist_ok=True)
    package, version = name.split("-")[:2]
    info = f"{package}-{version}.dist-info"
    files = {
        f"only_in_a_test_{package}.py": "INSTALLED = True\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        f"Provides-Extra: signatures\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    records = "".join(f"{member},,\n" for member in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member, text in {**files, f"{info}/RECORD": records}.items():
            archive.writestr(member, text)
    return folder / name


class Index:
    """Stands in for uv and pip at the one place where `tasks.bundle.packages` starts a program.

    Attributes:
        pins: What uv chooses, by the Python that is meant.
        asked: Every command, by what it does.
        brought: Every package that pip was asked for.
    """

    def __init__(self, pins: Mapping[str, Sequence[str]]) -> None:
        self.pins = pins
        self.asked: list[str] = []
        self.brought: list[str] = []

    def __call__(self, command: Sequence[str]) -> str:
        given = list(map(str, command))
        if "compile" in given:
            self.asked.append("compile")
            return "".join(f"{pin}\n" for pin in self.pins[given[given.index("--python-version") + 1]])
        if "venv" in given:
            interpreter = Path(given[-1]) / "bin" / "python"
            interpreter.parent.mkdir(parents=True)
            interpreter.touch()
            return ""
        if "build" in given:
            wheel(Path(given[-2]), OUR_WHEEL)
            return ""
        option = "--dest" if "download" in given else "--wheel-dir"
        self.asked.append(option)
        for pin in Path(given[-1]).read_text().split():
            self.brought.append(pin)
            name, version = pin.split("==")
            wheel(Path(given[given.index(option) + 1]), f"{name}-{version}-py3-none-any.whl")
        return ""
