"""Calibration: where the time goes, and how it grows.

The compiler's own `run_calibration` (method kl), alone and with `tasks/toolchain/faster_statistics.py` beside its
inputs, as a build runs it: whole commands, photographs in turn, the tables compared byte by byte. First the sample's
width and size with more and more images, then the full width at 512 x 512 with few, of which the cost of one more
image is taken. The floor there is one forward pass of the same network in torch, on as many threads.
"""

from __future__ import annotations

import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from artifacts.release import PreprocessSpec
from inference.images import read_image
from inference.preprocess import preprocess
from settings.sections import ToolchainSettings
from tasks.network import build_network
from tasks.network.tracing import traced_bytes
from tasks.quantize import image_list, stable_table
from tasks.toolchain import command, faster_statistics
from tasks.toolchain.graph import parse
from tasks.toolchain.model import Toolchain
from tasks.toolchain.provision import cache_root, provision
from tasks.toolchain.run import environment
from tests.benchmarks import whole
from tests.benchmarks.page import Section

COUNTS = (50, 100, 200, 400)
FEW, MORE = 8, 24
THREADS = 2


class Bench:
    """An imported network, and photographs as its samples."""

    def __init__(self, folder: Path, width: float, side: int, photographs: list[Path], count: int) -> None:
        self.toolchain = provision(ToolchainSettings().version, root=cache_root())
        self.folder, self.side = folder, side
        folder.mkdir()
        torch.manual_seed(0)
        self.network = build_network("dlav0_34", width=width, num_classes=80).eval()
        data, _, _ = traced_bytes(self.network, (1, 3, side, side))
        (folder / command.MODULE).write_bytes(data)
        planned = command.transform((1, 3, side, side), timeout_s=0)
        _run(self.toolchain, planned, folder)
        name = parse((folder / command.TOP_MLIR).read_text()).inputs[0].name
        spec, self.samples = PreprocessSpec(width=side, height=side), []
        for index, path in enumerate(islice(cycle(photographs), count)):
            self.samples.append(folder / f"{index:05d}.npz")
            np.savez(self.samples[-1], **{name: preprocess(read_image(path), spec)[np.newaxis]})  # type: ignore[arg-type]

    def calibrated(self, count: int, *, faster: bool) -> tuple[whole.Took, bytes]:
        """Calibrate on the first samples: what it took, and the table."""
        (self.folder / command.IMAGE_LIST).write_bytes(image_list(self.samples[:count]))
        statistics = Path(faster_statistics.__file__).read_bytes() if faster else b""
        (self.folder / command.STATISTICS).write_bytes(statistics)
        took = _run(self.toolchain, command.calibrate(count, "kl", timeout_s=0), self.folder)
        return took, stable_table((self.folder / command.TABLE).read_bytes(), count)

    def forward_s(self) -> float:
        """Seconds of a forward pass in torch."""
        torch.set_num_threads(THREADS)
        image = torch.zeros(1, 3, self.side, self.side)
        with torch.no_grad():
            times = []
            for _ in range(6):
                started = time.perf_counter()
                self.network(image)
                times.append(time.perf_counter() - started)
        return sorted(times)[len(times) // 2]


def _run(toolchain: Toolchain, planned: command.Command, folder: Path) -> whole.Took:
    variables = {**environment(toolchain, folder, THREADS), **dict(planned.variables)}
    argv: list[str | Path] = [Path(toolchain.root) / "bin" / planned.tool, *planned.arguments]
    return whole.command(argv, folder / "log", cwd=folder, env=variables)


def bench_images(section: Section, photographs: list[Path], tmp_path: Path) -> None:
    """More and more images at the sample's width."""
    bench = Bench(tmp_path / "sample", 0.25, 256, photographs, max(COUNTS))
    rows = []
    for count in COUNTS:
        (own, table), (fast, fast_table) = (bench.calibrated(count, faster=faster) for faster in (False, True))
        rows.append(
            (
                count,
                f"{own.seconds:.1f}",
                f"{fast.seconds:.1f}",
                f"{fast.seconds / own.seconds:.2f}",
                f"{own.cpu_s:.0f}",
                f"{fast.cpu_s:.0f}",
                f"{own.peak_mb:.0f}",
                f"{fast.peak_mb:.0f}",
                "equal",
            )
        )
        assert table == fast_table
    section.say("Width 0.25, 256 x 256:")
    section.table(_HEADER, rows)


_HEADER = (
    *("images", "compiler's own, s", "ours, s", "ratio", "own, processor s", "ours, processor s"),
    *("own, peak MB", "ours, peak MB", "tables"),
)


def bench_full_width(section: Section, photographs: list[Path], tmp_path: Path) -> None:
    """The cost of one more image at full width."""
    bench = Bench(tmp_path / "full", 1.0, 512, photographs, MORE)
    each, processor, same = {}, {}, True
    tables: dict[int, bytes] = {}
    for faster in (False, True):
        took = {}
        for count in (FEW, MORE):
            took[count], table = bench.calibrated(count, faster=faster)
            same = same and tables.setdefault(count, table) == table
        each[faster] = (took[MORE].seconds - took[FEW].seconds) / (MORE - FEW)
        processor[faster] = (took[MORE].cpu_s - took[FEW].cpu_s) / (MORE - FEW)
    forward = bench.forward_s()
    section.say("Width 1.0, 512 x 512, one more image:")
    section.table(
        ("", "wall s", "processor s", "of the floor"),
        [
            ("compiler's own", f"{each[False]:.2f}", f"{processor[False]:.2f}", f"{each[False] / forward:.1f}"),
            ("ours", f"{each[True]:.2f}", f"{processor[True]:.2f}", f"{each[True] / forward:.1f}"),
            ("one forward pass in torch", f"{forward:.2f}", "", "1"),
        ],
    )
    assert same
    section.say(f"The tables of {FEW} and {MORE} images are equal byte by byte.")
