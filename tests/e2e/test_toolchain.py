"""The real compiler through the one door: what it leaves, that it leaves it twice, and that it never stays behind."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from artifacts.release import Variant
from inference.engines.worker import WorkerProcess
from settings.quantize import Recipe
from tasks.compile import compile_variant, lower
from tasks.quantize import calibrate
from tasks.records import Compiled, Lowered
from tasks.toolchain import command, faster_statistics
from tasks.toolchain.diagnose import diagnose
from tasks.toolchain.model import Toolchain
from tasks.toolchain.provision import cache_root, provision
from tests.e2e.conftest import SETTINGS, SPEC, Tiny

# torch announces that TorchScript will go some day; the compiler reads nothing else.
pytestmark = [pytest.mark.compiler, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]

FLOAT_TAIL, ALL_INT8 = Recipe(), Recipe(float_tail=False)
CHIPS = ("BM1684", "BM1684X", "BM1688")
# The compiler says so when the layer groups of a network are not known yet.
SEARCHED = "Can not open hash file"
PATIENCE_S = 300.0

COMPILE = """
import sys
from pathlib import Path
from artifacts.release import Variant
from tasks.toolchain import command
from tasks.toolchain.model import Toolchain
from tasks.toolchain.run import run
toolchain, folder = Toolchain.model_validate_json(sys.argv[1]), Path(sys.argv[2])
planned = command.deploy(Variant(chip="BM1684X", precision="fp32", batch=1), quantize_table=False, timeout_s=600)
run(planned, toolchain, folder, folder.with_suffix(".log"))
"""


def variant(chip: str, precision: str, cores: int = 1) -> Variant:
    return Variant.model_validate({"chip": chip, "precision": precision, "batch": 1, "cores": cores})


def compiled(tiny: Tiny, which: Variant, quantize: Recipe = FLOAT_TAIL) -> Compiled:
    return compile_variant.fn(*_arguments(tiny, which, quantize))


def lowered(tiny: Tiny, which: Variant, quantize: Recipe = FLOAT_TAIL) -> Lowered:
    return lower.fn(*_arguments(tiny, which, quantize))


def _arguments(tiny: Tiny, which: Variant, quantize: Recipe) -> tuple[Any, ...]:
    table = tiny.table if which.precision == "int8" else None
    return which, tiny.model, table, quantize, tiny.toolchain, SETTINGS.driving, tiny.workspace


def interpreted(tiny: Tiny, network: Lowered, folder: Path) -> NDArray[np.float32]:
    """Run a lowered network in the compiler's interpreter: head tensor [1, 84, 16, 16]."""
    content = tiny.workspace.content
    path = content.link(network.mlir, folder / "network.mlir")
    content.link(network.weights, folder / network.weights_name)
    return _single(tiny, path, None, folder / "interpreter.log")


def simulated(tiny: Tiny, made: Compiled, folder: Path) -> NDArray[np.float32]:
    """Run a bmodel in the simulator: head tensor [1, 84, 16, 16]."""
    path = tiny.workspace.content.link(made.bmodel, folder / "network.bmodel")
    return _single(tiny, path, made.variant.chip, folder / "simulator.log")


def _single(tiny: Tiny, path: Path, chip: str | None, log: Path) -> NDArray[np.float32]:
    options: dict[str, Any] = {"start_timeout_s": PATIENCE_S, "timeout_s": PATIENCE_S}
    with WorkerProcess(Path(tiny.toolchain.python), path, log=log, chip=chip, **options) as worker:
        (output,) = worker.run(tiny.sample).values()
    return output


def log_of(tiny: Tiny, made: Compiled | Lowered) -> str:
    return tiny.workspace.content.verified(made.evidence.log).read_text(errors="replace")


def test_an_environment_that_stands_ready_is_found_without_a_process(
    toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", forbidden)
    assert provision(SETTINGS.version, root=cache_root()) == toolchain


def test_a_network_is_imported_as_it_was_traced(tiny: Tiny) -> None:
    assert tiny.model.input_shape == (1, 3, 64, 64)
    assert len(tiny.model.head_layers) == 4
    assert tiny.table.images == 4
    table = tiny.workspace.content.verified(tiny.table.table).read_text()
    assert set(tiny.model.head_layers) <= {line.split()[0] for line in table.splitlines()}


@pytest.mark.parametrize("method", ["kl", "mse", "percentile9999"])
def test_the_faster_statistics_give_the_compilers_own_table(
    tiny: Tiny, method: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def calibrated() -> tuple[bytes, str]:
        made = calibrate.fn(tiny.model, tiny.images, SPEC, method, tiny.toolchain, SETTINGS.driving, tiny.workspace)
        content = tiny.workspace.content
        return content.verified(made.table).read_bytes(), content.verified(made.evidence.log).read_text("utf-8")

    fast, fast_log = calibrated()
    nothing = tmp_path / "nothing.py"
    nothing.touch()
    monkeypatch.setattr(faster_statistics, "__file__", str(nothing))
    own, own_log = calibrated()
    assert "faster statistics, equal" in fast_log and "statistics" not in own_log
    assert fast == own


def test_our_torchscript_computes_the_same_in_the_compilers_torch(tiny: Tiny, tmp_path: Path) -> None:
    path = tiny.workspace.content.link(tiny.traced.module, tmp_path / "network.pt")
    np.save(tmp_path / "sample.npy", tiny.sample)
    script = (
        "import sys, numpy, torch; module = torch.jit.load(sys.argv[1]); "
        "numpy.save('heads.npy', module(torch.from_numpy(numpy.load('sample.npy'))).detach().numpy())"
    )
    argv = [tiny.toolchain.python, "-W", "ignore", "-c", script, str(path)]
    subprocess.run(argv, cwd=tmp_path, env={"OMP_NUM_THREADS": "2"}, timeout=PATIENCE_S, check=True)
    with torch.no_grad():
        expected = tiny.network(torch.from_numpy(tiny.sample)).numpy()
    assert np.allclose(np.load(tmp_path / "heads.npy"), expected, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("chip", CHIPS)
def test_two_compiles_give_one_bmodel_and_only_the_first_one_searches(tiny: Tiny, chip: str, precision: str) -> None:
    shutil.rmtree(tiny.workspace.layer_groups, ignore_errors=True)
    which = variant(chip, precision)
    first, second = compiled(tiny, which), compiled(tiny, which)
    assert first.content_digest == second.content_digest
    assert first.bmodel == second.bmodel
    assert SEARCHED in log_of(tiny, first)
    assert SEARCHED not in log_of(tiny, second)
    assert [(tensor.dtype, tensor.shape) for tensor in first.outputs] == [("float32", (1, 84, 16, 16))]
    assert first.estimated_ms is not None and first.estimated_ms > 0 and first.device_memory > 0
    assert diagnose(log_of(tiny, first)) is None


def test_a_bmodel_for_two_cores_says_so(tiny: Tiny) -> None:
    made = compiled(tiny, variant("BM1688", "fp32", cores=2))
    assert made.estimated_ms is not None  # that it is for two cores is checked on the way


@pytest.mark.parametrize(("chip", "kind"), [("BM1684", "f32"), ("BM1684X", "f16"), ("BM1688", "f16")])
def test_the_tail_stays_in_the_float_that_the_chip_has(tiny: Tiny, chip: str, kind: str) -> None:
    made = lowered(tiny, variant(chip, "int8"))
    lines = tiny.workspace.content.verified(made.mlir).read_text().splitlines()
    results = [line.rpartition("->")[2] for line in lines if '"tpu.Conv2D"' in line or '"tpu.Concat"' in line]
    in_float = [f"quant.calibrated<{kind}<" in text for text in results]
    # Two layers of the trunk, two a head, the concatenation last.
    assert in_float == [False, False, False, True, False, True, False, True, True]
    assert all("quant.uniform" in text for text, kept in zip(results, in_float, strict=True) if not kept)
    assert diagnose(log_of(tiny, made)) is None


@pytest.mark.parametrize("chip", CHIPS)
def test_the_simulator_gives_the_interpreters_int8_bit_by_bit(tiny: Tiny, chip: str, tmp_path: Path) -> None:
    which = variant(chip, "int8")
    by_interpreter = interpreted(tiny, lowered(tiny, which, ALL_INT8), tmp_path)
    by_simulator = simulated(tiny, compiled(tiny, which, ALL_INT8), tmp_path)
    assert by_interpreter.any()
    assert np.array_equal(by_interpreter, by_simulator)


def test_the_small_heads_die_in_int8_and_live_in_the_float_tail(tiny: Tiny, tmp_path: Path) -> None:
    with torch.no_grad():
        expected = tiny.network(torch.from_numpy(tiny.sample)).numpy()[:, 80:]
    which = variant("BM1688", "int8")
    heads = {}
    for name, quantize in (("whole", ALL_INT8), ("tail", FLOAT_TAIL)):
        (tmp_path / name).mkdir()
        heads[name] = interpreted(tiny, lowered(tiny, which, quantize), tmp_path / name)[:, 80:]
    assert not heads["whole"].any()
    distance = float(np.sum(heads["tail"] * expected) / np.linalg.norm(heads["tail"]) / np.linalg.norm(expected))
    assert distance > 0.99


def test_nothing_of_a_compile_outlives_a_process_that_was_killed(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    (folder / command.LAYER_GROUPS).mkdir(parents=True)
    content = tiny.workspace.content
    shutil.copyfile(content.verified(tiny.model.mlir), folder / command.TOP_MLIR)
    shutil.copyfile(content.verified(tiny.model.weights), folder / tiny.model.weights_name)
    argv = [sys.executable, "-c", COMPILE, tiny.toolchain.model_dump_json(), str(folder)]
    with subprocess.Popen(argv, cwd=Path(command.__file__).parents[2]) as caller:
        try:
            _wait_for(lambda: "tpuc-opt" in _programs_in(folder))
        finally:
            caller.send_signal(signal.SIGKILL)
    _wait_for(lambda: not _programs_in(folder))
    assert not (folder / command.BMODEL).exists()


def _programs_in(folder: Path) -> set[str]:
    """Return the names of the programs that work in a folder."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder:
                found.add((entry / "comm").read_text().strip())
        except OSError:
            continue
    return found


def _wait_for(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)
