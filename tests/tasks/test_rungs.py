"""Measuring one rung, with networks of which the answer is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from settings.sections import Judging, ProtocolSettings
from settings.sources import LabelledFolderSource
from tasks.errors import BadAnnotations, BadImage, ResultRefused
from tasks.gather import collect_folders
from tasks.records import ImageSet, Measured
from tasks.rungs import (
    DISTANCE_IMAGES,
    SAMPLE_IMAGES,
    Tensor,
    input_batch,
    load_detections,
    load_samples,
    measure,
    single_output,
)
from tasks.workspace import Workspace
from tests.tasks.annotation_files import write_annotations
from tests.tasks.image_files import save, scene

SPEC = PreprocessSpec(width=64, height=64)
JUDGING = Judging(protocol=ProtocolSettings().limits, meaningful=True)
BOX = (16.0, 16.0, 16.0, 16.0)  # its centre lies on cell 6, 6 of the output


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=str(tmp_path / "store"), cache=str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path: Path, workspace: Workspace) -> ImageSet:
    return image_set(tmp_path, workspace, 3)


def image_set(folder: Path, workspace: Workspace, count: int, categories: tuple[str, ...] = ("circle",)) -> ImageSet:
    names = [f"{number:02}.png" for number in range(count)]
    (folder / "images").mkdir()
    for number, name in enumerate(names):
        save(folder / "images" / name, scene(number, width=64, height=64))
    annotations = write_annotations(
        folder / "a.json", {name: [BOX] for name in names}, size=(64, 64), categories=categories
    )
    source = LabelledFolderSource(kind="folder", folders=(folder / "images",), annotations=(annotations,))
    found: ImageSet = collect_folders.fn(source, "evaluation", workspace)
    return found


def heads(peak: float = 5.0, size: float = 4.0, classes: int = 2) -> Tensor:
    """The head tensor of a network that sees one object of class 0, exactly where `BOX` is."""
    tensor = np.full((1, classes + 4, 16, 16), -10.0, dtype=np.float32)
    tensor[0, 0, 6, 6] = peak
    tensor[0, classes : classes + 2] = size
    tensor[0, classes + 2 :] = 0.0
    return tensor


def always(tensor: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda batch: tensor.copy()


def measured(images: ImageSet, workspace: Workspace, tensor: Tensor, **options: object) -> Measured:
    values = {"spec": SPEC, "judging": JUDGING, "content": workspace.content, **options}
    return measure("rung", always(tensor), images, **values)  # type: ignore[arg-type]


def test_a_network_that_finds_every_box_has_ap_1(images: ImageSet, workspace: Workspace) -> None:
    found = measured(images, workspace, heads())
    assert found.ap == pytest.approx(1.0) and found.ap50 == pytest.approx(1.0) and found.images == 3
    assert found.distances == {} and found.distance_images == 0 and found.worst == ()


def test_boxes_of_the_wrong_size_cost_ap(images: ImageSet, workspace: Workspace) -> None:
    found = measured(images, workspace, heads(size=5.0))
    assert found.ap is not None and 0.1 < found.ap < 0.9 and found.ap50 == pytest.approx(1.0)


def test_accuracy_that_means_nothing_is_left_out(images: ImageSet, workspace: Workspace) -> None:
    found = measured(images, workspace, heads(), judging=Judging(protocol=ProtocolSettings().limits, meaningful=False))
    assert found.ap is None and found.ap50 is None


def test_distances_are_taken_head_by_head(images: ImageSet, workspace: Workspace) -> None:
    found = measured(images, workspace, heads(size=-4.0), torchscript=always(heads()))
    assert found.distances["heatmap"].cosine == 1.0 and found.distances["offset"].cosine == 1.0
    assert found.distances["size"].cosine == -1.0 and found.distances["size"].max_abs == 8.0
    assert found.distance_images == 3


def test_the_images_that_lose_most_against_the_reference_are_named(images: ImageSet, workspace: Workspace) -> None:
    reference = measured(images, workspace, heads())
    blind = measured(images, workspace, heads(peak=-10.0), reference=reference)
    assert blind.worst == ("00.png", "01.png", "02.png")
    assert measured(images, workspace, heads(), reference=reference).worst == ()


def test_tensors_and_detections_can_be_read_again(images: ImageSet, workspace: Workspace) -> None:
    found = measured(images, workspace, heads())
    samples = load_samples(workspace.content, found.samples)
    assert list(samples) == ["00.png", "01.png", "02.png"]
    np.testing.assert_array_equal(samples["01.png"], heads()[0])
    detections = load_detections(workspace.content, found.detections)["02.png"]
    best = int(np.argmax(detections.scores))
    np.testing.assert_allclose(detections.boxes_xyxy[best], [16, 16, 32, 32], atol=1e-3)
    assert detections.class_ids[best] == 0 and detections.boxes_xyxy.dtype == np.float32


def test_equal_measurements_give_equal_bytes(images: ImageSet, workspace: Workspace) -> None:
    assert measured(images, workspace, heads()) == measured(images, workspace, heads())


def test_only_the_first_images_are_kept_and_compared(tmp_path: Path, workspace: Workspace) -> None:
    images = image_set(tmp_path, workspace, DISTANCE_IMAGES + 2)
    found = measured(images, workspace, heads(), torchscript=always(heads()))
    assert found.images == DISTANCE_IMAGES + 2 and found.distance_images == DISTANCE_IMAGES
    assert len(load_samples(workspace.content, found.samples)) == SAMPLE_IMAGES
    assert len(json.loads(workspace.content.verified(found.detections).read_bytes())) == DISTANCE_IMAGES + 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_is_refused_by_rung_and_image(
    bad: float, images: ImageSet, workspace: Workspace
) -> None:
    tensor = heads()
    tensor[0, 3, 2, 2] = bad
    with pytest.raises(
        ResultRefused, match=r"rung: 1 of the 1536 values of the output for 00\.png are NaN or infinite"
    ):
        measured(images, workspace, tensor)


def test_a_set_of_more_classes_than_the_network_finds_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    images = image_set(tmp_path, workspace, 1, categories=("a", "b", "c"))
    with pytest.raises(BadAnnotations, match="3 categories, the network finds 2 classes"):
        measured(images, workspace, heads())


def test_classes_that_the_set_does_not_name_are_not_judged(images: ImageSet, workspace: Workspace) -> None:
    tensor = heads()
    tensor[0, 1, 10, 10] = 9.0  # class 1 is none of the set's
    assert measured(images, workspace, tensor).ap == pytest.approx(1.0)


def test_an_image_that_is_none_is_named(images: ImageSet, workspace: Workspace) -> None:
    broken = images.images[1].model_copy(update={"blob": workspace.content.put_bytes(b"no image")})
    spoilt = images.model_copy(update={"images": (images.images[0], broken, images.images[2])})
    with pytest.raises(BadImage, match=r"The image 01\.png cannot be used"):
        measured(spoilt, workspace, heads())


def test_a_set_without_annotations_is_refused(images: ImageSet, workspace: Workspace) -> None:
    with pytest.raises(BadAnnotations, match="it has no annotations"):
        measured(images.model_copy(update={"annotations": None}), workspace, heads())


def test_images_become_one_input_tensor(images: ImageSet, workspace: Workspace) -> None:
    batch = input_batch(images.images, SPEC, workspace.content)
    assert batch.shape == (3, 3, 64, 64) and batch.dtype == np.float32 and not np.array_equal(batch[0], batch[1])


def test_a_model_must_have_one_output() -> None:
    assert single_output({"heads": np.zeros((1, 2), dtype=np.float16)}).dtype == np.float32
    with pytest.raises(ResultRefused, match="this one has a, b"):
        single_output({"a": np.zeros(1), "b": np.zeros(1)})
