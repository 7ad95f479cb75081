"""The bmodel in the simulator beside the interpreter: batches, and what is refused. The simulator is a stand-in."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
import pytest

from artifacts.release import PreprocessSpec, Variant
from artifacts.variant import Io
from inference.errors import EngineError
from settings.sections import Judging, ProtocolSettings, TimeoutSettings
from tasks import simulate as module
from tasks.errors import ResultRefused
from tasks.records import ImageSet, Measured, Simulated
from tasks.rungs import SAMPLE_IMAGES, Tensor, measure
from tasks.workspace import Workspace
from tests.tasks.results import COMPILER, compiled
from tests.tasks.test_rungs import image_set

SPEC = PreprocessSpec(width=64, height=64)


def network(batch: Tensor) -> Tensor:
    """Gives each image a head tensor of its own: the mean of its input, everywhere."""
    means: Tensor = batch.mean(axis=(1, 2, 3)).astype(np.float32)
    return np.broadcast_to(means[:, None, None, None], (len(batch), 6, 16, 16)).copy()


class StandIn:
    """Takes the place of the worker process."""

    batches: ClassVar[list[Tensor]] = []
    answer: ClassVar[Any] = staticmethod(network)

    def __init__(self, python: Path, model: Path, **options: Any) -> None:
        assert python == Path(COMPILER.python) and model.suffix == ".bmodel" and model.is_file()
        self.log = options["log"]
        self.log.write_text("loaded\n")

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def run(self, batch: Tensor) -> dict[str, Tensor]:
        self.batches.append(batch)
        return {"heads": type(self).answer(batch)}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    monkeypatch.setattr(module, "WorkerProcess", StandIn)
    monkeypatch.setattr(StandIn, "batches", [])
    return StandIn


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path: Path, workspace: Workspace) -> ImageSet:
    return image_set(tmp_path, workspace, 12)


@pytest.fixture
def interpreted(images: ImageSet, workspace: Workspace) -> Measured:
    judging = Judging(protocol=ProtocolSettings().limits, meaningful=False)
    return measure("rung", network, images, spec=SPEC, judging=judging, content=workspace.content)


def run(
    interpreted: Measured, images: ImageSet, workspace: Workspace, count: int, batch: int = 1, io: Io = "float"
) -> tuple[Simulated, list[Tensor]]:
    bmodel = compiled(workspace, Variant(chip="BM1688", precision="int8", batch=batch, io=io))
    found: Simulated = module.simulate.fn(
        bmodel, interpreted, images, SPEC, count, TimeoutSettings(), COMPILER, workspace
    )
    return found, StandIn.batches


@pytest.mark.parametrize(
    ("count", "batch", "used", "runs"),
    [(1, 1, 1, 1), (2, 1, 2, 2), (1, 4, 4, 1), (5, 4, 8, 2), (2, 3, 3, 1), (7, 3, 8, 3), (1, 16, 8, 1), (999, 1, 8, 8)],
)
def test_images_fill_whole_batches_as_far_as_the_interpreter_kept_its_output(
    count: int, batch: int, used: int, runs: int, interpreted: Measured, images: ImageSet, workspace: Workspace
) -> None:
    found, batches = run(interpreted, images, workspace, count, batch)
    assert SAMPLE_IMAGES == 8
    assert found.images == used and found.identical is True and found.max_abs == 0.0
    assert len(batches) == runs and all(one.shape == (batch, 3, 64, 64) for one in batches)


def test_what_takes_raw_pixels_is_given_them_and_compared_with_the_same(
    interpreted: Measured, images: ImageSet, workspace: Workspace
) -> None:
    _, batches = run(interpreted, images, workspace, 1, io="raw")
    assert [(one.dtype, one.shape) for one in batches] == [(np.uint8, (1, 3, 64, 64))]


def test_the_largest_difference_of_any_image_counts(
    interpreted: Measured, images: ImageSet, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(batch: Tensor) -> Tensor:
        output = network(batch)
        output[-1, 2, 3, 4] += 0.5
        return output

    monkeypatch.setattr(StandIn, "answer", staticmethod(off))
    found, _ = run(interpreted, images, workspace, 4, 4)
    assert found.identical is False and found.max_abs == pytest.approx(0.5)
    # Six channels: two classes, then size, then offset.
    assert [far.max_abs for far in found.distances.values()] == [0.0, pytest.approx(0.5), 0.0]
    assert found.distances["heatmap"].snr_db == 200.0 > found.distances["size"].snr_db


def test_an_image_in_the_wrong_place_of_its_batch_is_noticed(
    interpreted: Measured, images: ImageSet, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "answer", staticmethod(lambda batch: network(batch)[::-1]))
    found, _ = run(interpreted, images, workspace, 4, 4)
    assert found.identical is False


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda batch: network(batch) * np.nan, "NaN or infinity"),
        (
            lambda batch: network(batch)[:, :5],
            r"gives \[4, 5, 16, 16\], by the interpreter it should be \[4, 6, 16, 16\]",
        ),
        (lambda batch: network(batch)[:2], r"gives \[2, 6, 16, 16\]"),
    ],
)
def test_an_output_that_cannot_be_compared_is_refused(
    answer: Any,
    message: str,
    interpreted: Measured,
    images: ImageSet,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(StandIn, "answer", staticmethod(answer))
    with pytest.raises(ResultRefused, match=message):
        run(interpreted, images, workspace, 4, 4)


def test_the_log_stays_only_when_the_simulator_fails(
    interpreted: Measured, images: ImageSet, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(interpreted, images, workspace, 1)
    assert list(workspace.logs.iterdir()) == []

    def fail(batch: Tensor) -> Tensor:
        raise EngineError("it died", Path("log"))

    monkeypatch.setattr(StandIn, "answer", staticmethod(fail))
    with pytest.raises(EngineError):
        run(interpreted, images, workspace, 1)
    (log,) = workspace.logs.iterdir()
    assert log.name.startswith("simulate-BM1688-centernet-int8-1b-bmodel-") and log.read_text() == "loaded\n"
    assert list((Path(workspace.store) / "scratch").iterdir()) == []
