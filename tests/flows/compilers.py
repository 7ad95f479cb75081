"""Several releases of the stand-in compiler, an index that offers them, and builds with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from artifacts import layout
from tasks.errors import ProvisionFailed
from tasks.toolchain.model import Toolchain
from tests.flows.tiny import TinyBuild, write_environment

INT8 = "BM1684X/centernet_int8_4b.bmodel"
WEAR = r"--not_gen_bmodel .*bm1684x|bm1684x .*--not_gen_bmodel"


class Compilers:
    """What there is in the index, and what is wrong with some of it; takes the place of uv and of provisioning.

    Attributes:
        build: What is built; the release that it has was made by `build.toolchain`.
        offered: Versions in the index, oldest first.
        broken: Versions that do not install.
    """

    def __init__(self, build: TinyBuild) -> None:
        self.build = build
        self.offered = [build.toolchain.version]
        self.broken: set[str] = set()
        self._made = {build.toolchain.version: build.toolchain}

    def provision(self, version: str, **_: Any) -> Toolchain:
        if version in self.broken:
            raise ProvisionFailed(f"tpu-mlir {version} could not be installed: on purpose")
        if version not in self._made:
            self._made[version] = write_environment(self.build.folder / f"compiler-{version}", version)
        return self._made[version]

    def newest(self) -> str:
        return self.offered[-1]

    def between(self, oldest: str, latest: str) -> tuple[str, ...]:
        return tuple(self.offered[self.offered.index(oldest) + 1 : self.offered.index(latest)])

    def switch(self, version: str, name: str, pattern: str = "") -> None:
        """Turn one of the stand-in's switches on in a release of the compiler."""
        (Path(self.provision(version).root) / name).write_text(pattern or WEAR)

    def calls(self, version: str) -> int:
        """How many commands of a release were started."""
        path = Path(self.provision(version).root) / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0

    @property
    def tags(self) -> dict[str, str]:
        """What the registry's tags name."""
        return layout.tags(self.build.folder / "registry")


def replaced(compilers: Compilers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put them in the place of the index and of provisioning."""
    monkeypatch.setattr("tasks.provide.provision", compilers.provision)
    monkeypatch.setattr("flows.look.newest", compilers.newest)
    monkeypatch.setattr("tasks.toolchain.releases.between", compilers.between)
    monkeypatch.setenv("CENTERNET_CACHE", compilers.build.workspace.cache)
