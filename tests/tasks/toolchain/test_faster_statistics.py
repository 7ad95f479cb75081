"""The faster statistics give the compiler's own counts, and step back where a release computes anything else."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.toolchain import faster_statistics
from tasks.toolchain.faster_statistics import CHUNK, both_ends, counted, install

Floats = NDArray[np.float32]


class CaliMathCpu:
    """The compiler's statistics in its own words: each value to the nearest bin, zeros left out."""

    def histogram(self, values: Floats, largest: Any, bins: int = 2048) -> tuple[NDArray[np.int32], Any]:
        width = largest / (bins - 1)
        some = np.abs(values.ravel())
        counts, _ = np.histogram(np.floor(some[some != 0] / width + 0.5), bins=bins, range=(0, bins - 1))
        return counts.astype(np.int32), width

    def sort_distr_percentile(self, values: Floats, length: int) -> Floats:
        ordered = np.sort(values)
        return np.concatenate((ordered[:length], ordered[-length:]))


# The same as the source of a module; its annotations are left alone.
THEIRS = f"""from __future__ import annotations
import numpy as np
{inspect.getsource(CaliMathCpu)}
math_impl = CaliMathCpu()"""


class Elsewhere(CaliMathCpu):
    """Another release: bins by their lower edge."""

    def histogram(self, values: Floats, largest: Any, bins: int = 2048) -> tuple[NDArray[np.int32], Any]:
        counts, width = super().histogram(values, largest, bins)
        return np.roll(counts, 1), width


Elsewhere.__name__ = "CaliMathCpu"


def module(math: type) -> Any:
    made: Any = ModuleType("calibration.cali_math")
    # A class of its own: installing changes it.
    made.math_impl = type(math.__name__, (math,), dict(vars(math)))()
    made.POOL_THREADS = 6
    return made


@given(
    seed=st.integers(0, 1000),
    size=st.integers(1, 3 * CHUNK),
    bins=st.sampled_from([2, 100, 2048, 2049, 4321, 65_536, 65_537, 70_001]),
    zeros=st.sampled_from([0.0, 0.5, 1.0]),
    beyond=st.sampled_from([1.0, 1.0000001, 7.3]),
)
def test_the_counts_are_the_compilers_own(seed: int, size: int, bins: int, zeros: float, beyond: float) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.normal(0, 1, size) ** 3).astype(np.float32)
    values[rng.random(size) < zeros] = 0
    theirs = CaliMathCpu()
    largest = np.float32(max(np.abs(values).max(), 1e-3) * beyond)
    expected, width = theirs.histogram(values, largest, bins)
    found, found_width = counted(CaliMathCpu.histogram)(theirs, values, largest, bins)
    assert np.array_equal(found, expected) and found.dtype == expected.dtype and found_width == width


@pytest.mark.parametrize("values", [np.array([1, 2]), np.array([1.0, 2.0]), np.array([1, np.nan], np.float32)])
def test_what_it_does_not_know_is_left_to_the_original(values: Any) -> None:
    given: list[Any] = []
    counted(lambda *arguments: given.append(arguments))(None, values, 2.0, 16)
    assert len(given) == 1 and given[0][1] is values


@given(size=st.integers(1, 50), length=st.integers(1, 60))
def test_both_ends_are_those_of_the_sorted_values(size: int, length: int) -> None:
    values = np.random.default_rng(size).integers(-5, 5, size).astype(np.float32)
    assert np.array_equal(both_ends(None, values, length), CaliMathCpu().sort_distr_percentile(values, length))


def test_the_compilers_functions_are_replaced_where_ours_agree(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    theirs = module(CaliMathCpu)
    install(theirs)
    assert type(theirs.math_impl).sort_distr_percentile is both_ends and theirs.POOL_THREADS == 2
    assert "faster statistics, equal" in capsys.readouterr().out


@pytest.mark.parametrize("math", [Elsewhere, type("CaliMathCuda", (CaliMathCpu,), {}), object])
def test_a_release_that_computes_something_else_keeps_its_own(math: type, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = module(math)
    before = dict(vars(type(theirs.math_impl)))
    install(theirs)
    assert dict(vars(type(theirs.math_impl))) == before and theirs.POOL_THREADS == 6
    assert "the compiler's own statistics stay" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("math", "threads", "said"),
    [
        ("math_impl = object()", "6", "calibration: the compiler's own statistics stay"),
        (THEIRS, "3", "calibration: faster statistics, equal to the compiler's own"),
    ],
)
def test_python_finds_it_beside_a_commands_inputs_and_it_waits_for_the_one_module(
    math: str, threads: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_bytes(Path(faster_statistics.__file__).read_bytes())
    package = tmp_path / "calibration"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cali_math.py").write_text(f"{math}\nPOOL_THREADS = 6\n")
    program = "import json; print('before'); import calibration.cali_math as m; print(m.POOL_THREADS)"
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": ".", "OMP_NUM_THREADS": "3"},
        check=True,
        capture_output=True,
        text=True,
    )
    before, told, found = result.stdout.splitlines()
    assert (before, found) == ("before", threads) and told.startswith(said)
