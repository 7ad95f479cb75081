"""Fuzz every target at once: `python -m tests.fuzz.all --seconds 560 --out DIR`.

Leaves `summary.json` and `found.tar.xz` in DIR: what failed, with the inputs, and the smallest inputs of each corpus.
`--write SUMMARY` puts the numbers of such a run into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.benchmarks.page import DOCS, Section, machine, put
from tests.fuzz import loading
from tests.fuzz.findings import ROOT

SUMMARY = Path(__file__).with_name("summary.json")
_PACKAGES = ("atheris", "pydantic", "numpy", "opencv-python-headless", "torch")
_KEPT_BYTES = 200_000
_SPARE_S = 90


def main() -> int:
    """Fuzz, or write what a run found into the page."""
    options = _options()
    if options.write is not None:
        put(Fuzzed.of(json.loads(options.write.read_text())), DOCS / "reliability.md")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        names = tuple(options.targets) or loading.names()
        summary = fuzz_all(names, options.seconds, Path(name), options.jobs or len(names))
        (options.out / "summary.json").write_text(json.dumps(summary, indent=1))
        pack(Path(name), options.out / "found.tar.xz")
    for one in summary["targets"]:
        told = ", ".join(one["crashes"]) or "nothing found"
        print(f"{one['target']:18} {one['executions']:10,} inputs, {one['features']:6,} features: {told}")
    return 1 if any(one["crashes"] for one in summary["targets"]) else 0


def fuzz_all(names: tuple[str, ...], seconds: int, folder: Path, jobs: int) -> dict[str, Any]:
    """Fuzz targets beside each other, each in a process of its own.

    Args:
        names: Which.
        seconds: How long.
        folder: Where each has a folder.
        jobs: How many at once.

    Returns:
        The machine, the versions, and the summary of each target.
    """
    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(lambda name: _fuzzed(name, seconds, folder / name), names))
    versions = {"Python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}
    return {"machine": machine(), "cores": os.cpu_count(), "versions": versions, "targets": found}


def _version(name: str) -> str:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return "of another package"


def _fuzzed(name: str, seconds: int, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    argv = [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", str(seconds), "--corpus", str(folder)]
    with (folder / "runner.log").open("wb") as log, suppress(subprocess.TimeoutExpired):
        subprocess.run(
            argv, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=seconds + _SPARE_S, check=False
        )
    if (folder / "summary.json").is_file():
        found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
        return found
    said = (folder / "runner.log").read_text(errors="replace").strip().splitlines()[-1:]
    nothing = dict.fromkeys(("seconds", "executions", "features", "corpus", "slowest_s"), 0)
    return {"target": name, **nothing, "crashes": [f"did not run: {said}"]}


def pack(folder: Path, archive: Path) -> None:
    """Put what was found into one archive: failures, logs' ends, and the smallest inputs of each corpus.

    Args:
        folder: With a folder for each target.
        archive: A `.tar.xz` file.
    """
    with tarfile.open(archive, "w:xz") as tar:
        for target in sorted(folder.iterdir()):
            left = _KEPT_BYTES
            log = target / "log"
            if log.is_file():
                log.write_bytes(log.read_bytes()[-20_000:])
            corpus = sorted((target / "corpus").glob("*"), key=lambda path: path.stat().st_size)
            for path in [*(target / "found").glob("*"), *target.glob("*log"), *target.glob("*.json"), *corpus]:
                if path.parent.name == "corpus":
                    left -= path.stat().st_size
                if left > 0:
                    tar.add(path, str(path.relative_to(folder)))


class Fuzzed(Section):
    """The page's section of a run."""

    @classmethod
    def of(cls, summary: dict[str, Any]) -> Fuzzed:
        """Make it of a run's summary."""
        versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
        about = (
            "Every reader of foreign bytes is a target of its own in `tests/fuzz/targets/`, guided by which lines and "
            "branches of ours each input reaches. Found is what a reader lets out that it does not declare, a kill, "
            "more than 3 GB of memory, or more than 20 s. What earlier runs found lies in `tests/fuzz/cases/`, and "
            "`make test` replays it."
        )
        one = cls("fuzzing", "Fuzzing", about, command=f"{summary['machine']}; {versions}")
        header = ("target", "seconds", "inputs", "features", "corpus", "slowest", "found")
        one.table(header, [_row(found) for found in summary["targets"]])
        total = sum(found["executions"] for found in summary["targets"])
        one.say(f"{len(summary['targets'])} targets, {total:,} inputs in all. {summary.get('findings', '')}")
        return one

    def markdown(self) -> str:
        """The section as text; the machine is the one that the run was on."""
        return "\n\n".join([f"## {self.title}", self.about, f"{self.command}.", *self.parts]) + "\n"


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    found = "; ".join(one["crashes"]) or "nothing"
    return (
        f"`{one['target']}`", one["seconds"], f"{one['executions']:,}", f"{one['features']:,}", f"{one['corpus']:,}",
        f"{one['slowest_s']:.2f} s", found,
    )  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.all", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--jobs", type=int, default=0, help="how many at once; all by default")
    parser.add_argument("--out", type=lambda text: Path(text).absolute(), default=Path("build/fuzz").absolute())
    parser.add_argument("--targets", nargs="*", choices=loading.names(), default=[])
    parser.add_argument("--write", type=Path, nargs="?", const=SUMMARY, metavar="SUMMARY")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
