"""Options that make a bmodel faster: in the simulator it gives, bit by bit, what the plain one gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from artifacts.release import Variant
from inference.engines.worker import WorkerProcess
from settings.quantize import Recipe
from tasks.compile import compile_variant
from tasks.records import Compiled
from tasks.toolchain.tuning import tuned
from tests.e2e.conftest import SETTINGS, Tiny

# torch announces that TorchScript will go some day; the compiler reads nothing else.
pytestmark = [pytest.mark.compiler, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]

PATIENCE_S = 300.0


def compiled(tiny: Tiny, which: Variant, options: tuple[str, ...]) -> Compiled:
    rest = (tiny.model, tiny.table, Recipe(), tiny.toolchain, SETTINGS.driving, tiny.workspace)
    return compile_variant.fn(which, *rest, options)


def simulated(tiny: Tiny, made: Compiled, log: Path) -> NDArray[np.float32]:
    """Run a bmodel in the simulator: head tensor [1, 84, 16, 16]."""
    path = tiny.workspace.content.link(made.bmodel, log.with_suffix(".bmodel"))
    with WorkerProcess(
        Path(tiny.toolchain.python),
        path,
        log=log,
        chip=made.variant.chip,
        start_timeout_s=PATIENCE_S,
        timeout_s=PATIENCE_S,
    ) as worker:
        (output,) = worker.run(tiny.sample).values()
    return output


# Not on two cores: this network is too small for the compiler to divide, which it says only in the bmodel.
def test_a_tuned_bmodel_gives_what_the_plain_one_gives(tiny: Tiny, tmp_path: Path) -> None:
    which = Variant(chip="BM1688", precision="int8", batch=1)
    plain, fast = compiled(tiny, which, ()), compiled(tiny, which, tuned(which))
    assert tuned(which) and set(tuned(which)) <= set(fast.evidence.argv)
    by_plain = simulated(tiny, plain, tmp_path / "plain.log")
    assert by_plain.any()
    assert np.array_equal(by_plain, simulated(tiny, fast, tmp_path / "fast.log"))


def test_what_a_plain_search_found_is_not_taken_for_what_a_longer_one_would_find(tiny: Tiny) -> None:
    """The compiler's own names for what it found do not tell searches apart."""
    which = Variant(chip="BM1688", precision="int8", batch=1)
    longer = ("--shape_secs_search_strategy", "2")
    compiled(tiny, which, ())
    log = tiny.workspace.content.verified(compiled(tiny, which, longer).evidence.log).read_text(errors="replace")
    assert "Can not open hash file" in log
