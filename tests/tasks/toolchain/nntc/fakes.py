"""A stand-in for tpu-nntc: in the vendor's image, or in a Python of this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from settings.nntc import NntcSettings
from tests.artifacts.bmodel_files import built_bmodel

IMAGE = "vendor/image:v2.1"

SETUP = """
# To be read in its own folder, by bash, without arguments; its last line is a test that fails.
source ./scripts/more.sh
[[ $# = 0 ]] && export NNTC_SETUP=$NNTC_MORE
[ -n "$NNTC_DEBUG" ] && echo debugging
"""


class FakeNntc:
    """The folder of the stand-in: programs, modules, the archive, and the bmodels that it makes.

    Attributes:
        root: The folder.
        archive: The unpacked archive in it.
    """

    def __init__(self, root: Path, side: int = 8) -> None:
        self.root, self.archive, self.side = root, root / "tpu-nntc", side
        source = Path(__file__).with_name("fake_tool.py").read_text()
        for path in (root / "bin" / "python3", root / "bin" / "bmnetu", root / "client" / "docker"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!{sys.executable} -IS\n{source}")
            path.chmod(0o755)
        for name in ("bmnetp.py", "ufw/__init__.py", "ufw/cali/__init__.py", "ufw/cali/cali_model.py"):
            path = root / "site" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        self.packages(bmnetp="3.1.0", numpy="1.19.5")
        (self.archive / "scripts").mkdir(parents=True)
        (self.archive / "scripts" / "envsetup.sh").write_text(SETUP)
        (self.archive / "scripts" / "more.sh").write_text("NNTC_MORE=done\n")
        for chip in ("BM1684", "BM1684X"):
            for batch in (1, 4):
                self.makes(chip, "fp32", batch)
                self.makes(chip, "int8", batch)

    def makes(self, asked: str, precision: str, batch: int, **changes: Any) -> None:
        """Say which bmodel comes of a compile for the chip that is asked for."""
        path = self.root / "bmodels" / f"{asked}-{precision}-{batch}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(built_bmodel(**{"chip": asked, "batch": batch, "side": self.side, **changes}))

    def packages(self, **versions: str) -> None:
        """Say which packages its Python has."""
        text = "\n".join(f"    One({name!r}, {version!r})," for name, version in versions.items())
        record = "from collections import namedtuple\nOne = namedtuple('One', 'project_name version')"
        (self.root / "site" / "pkg_resources.py").write_text(f"{record}\nworking_set = [\n{text}\n]\n")

    def installed(self, name: str, version: str) -> None:
        """Put the metadata of a package where `importlib.metadata` finds it."""
        path = self.root / "site" / f"{name}.dist-info" / "METADATA"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    def behave(self, **wanted: Any) -> None:
        """Tell the programs what to do beside, or instead of, their work."""
        (self.root / "behaviour.json").write_text(json.dumps(wanted))

    def calls(self) -> list[list[str]]:
        """The command lines of the programs, without the looks at what is there."""
        path = self.root / "calls"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call for call in found if call[0] != "docker" and call[1] != "-c"]

    def limits(self) -> list[str]:
        """How long each container may live, by what it was started with, in seconds."""
        found = [json.loads(line) for line in (self.root / "calls").read_text().splitlines()]
        return [call[call.index("timeout") + 2] for call in found if call[:2] == ["docker", "run"]]

    @property
    def in_place(self) -> NntcSettings:
        """The settings for it without docker."""
        return NntcSettings(version="3.1.0", python=self.root / "bin" / "python3", folder=self.archive)

    @property
    def in_image(self) -> NntcSettings:
        """The settings for it in the image."""
        return NntcSettings(version="3.1.0", image=IMAGE, folder=self.archive)

    @property
    def path(self) -> str:
        """A PATH on which the stand-in of docker is found."""
        return f"{self.root / 'client'}:/usr/bin:/bin"
