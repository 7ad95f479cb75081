"""Plant a regression: a wheel of the compiler, repacked under a higher version, that widens one chip's int8 ranges.

    python -m tests.e2e.plant_regression tpu_mlir-1.30.2-py3-none-any.whl --version 1.30.3 --chip BM1688 --into FOLDER
    UV_FIND_LINKS=FOLDER python -m flows.watch

Everything else in the wheel is as it was, so that all other variants must come out the same. `pip download --no-deps`
brings the wheel. A program rather than a test: the environment takes minutes and 6 GB; `docs/watch.md` says what came
of it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import sys
import zipfile
from pathlib import Path

TOOL = "tpu_mlir/python/tools/model_deploy.py"

PLANTED = '''
import sys


def _widened():
    """Planted: ranges {factor} times as wide as they should be, for the int8 of one chip."""
    given = dict(zip(sys.argv[1:], sys.argv[2:]))
    if (given.get("--chip"), given.get("--quantize")) != ("{chip}", "INT8"):
        return
    with open(given["--calibration_table"]) as table:
        rows = [line.split() for line in table]
    with open("planted", "w") as table:
        for row in rows:
            if len(row) == 4 and not row[0].startswith("#"):
                row[1:] = [str(float(number) * {factor}) for number in row[1:]]
            table.write(" ".join(row) + "\\n")
    sys.argv[sys.argv.index("--calibration_table") + 1] = "planted"


_widened()
'''


def plant(wheel: Path, version: str, chip: str, factor: float, folder: Path) -> Path:
    """Write the wheel that degrades a chip.

    Args:
        wheel: A true one.
        version: What the new one calls itself.
        chip: Whose int8 degrades.
        factor: How much wider its ranges become.
        folder: Where the new one goes.

    Returns:
        Its path.
    """
    name, before = wheel.name.split("-")[:2]
    old, new = f"{name}-{before}.", f"{name}-{version}."
    made = folder / wheel.name.replace(f"-{before}-", f"-{version}-")
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for entry in source.infolist():
            title, data = entry.filename.replace(old, new, 1), source.read(entry)
            if title == f"{new}dist-info/RECORD":
                continue
            if title == f"{new}dist-info/METADATA":
                data = re.sub(rb"^Version: .*$", b"Version: " + version.encode(), data, count=1, flags=re.M)
            elif title == TOOL:
                data = PLANTED.format(chip=chip.lower(), factor=factor).encode() + data
            lines.append(f"{title},sha256={_hash(data)},{len(data)}\n")
            entry.filename = title
            target.writestr(entry, data, compresslevel=1)
        lines.append(f"{new}dist-info/RECORD,,\n")
        target.writestr(f"{new}dist-info/RECORD", "".join(lines))
    return made


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--version", default="1.30.3")
    parser.add_argument("--chip", default="BM1688")
    parser.add_argument("--factor", type=float, default=3.0)
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args(argv)
    print(plant(options.wheel, options.version, options.chip, options.factor, options.into))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
