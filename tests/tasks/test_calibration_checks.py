"""What is checked of a calibration, each check with what it is there to notice."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from artifacts.release import PreprocessSpec
from inference.images import read_image
from inference.preprocess import preprocess
from settings.load import load_settings
from tasks.calibration_checks import CalibrationChecks, check_handed, check_set, covered
from tasks.errors import CalibrationRefused
from tasks.quantize import calibrate, samples_digest
from tasks.records import CalibrationTable, ImageSet, StoredImage
from tests.tasks.image_files import save, scene
from tests.tasks.test_quantize import DRIVING, SPEC, Bench

SET_CHECKS = [
    "as many images as asked for",
    "no image twice",
    "none of the evaluation set",
    "every class of the evaluation set is shown",
]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def image_set(bench: Bench, folder: Path, names: dict[str, str | None], first: int = 40) -> ImageSet:
    """Scenes by name, each with one box of a class, or none; no annotations at all where no class is named."""
    images, boxes = [], {}
    for number, (name, class_name) in enumerate(names.items(), first):
        path = save(folder / f"{first}-{name}", scene(number))
        images.append(StoredImage(name=name, blob=bench.workspace.content.put_file(path)))
        if class_name is not None:
            boxes[name] = class_name
    annotations = bench.workspace.content.put_bytes(annotated(boxes)) if boxes else None
    return ImageSet(images=tuple(images), annotations=annotations)


def annotated(classes: dict[str, str]) -> bytes:
    names = sorted(set(classes.values()))
    document = {
        "images": [
            {"id": number, "file_name": name, "width": 64, "height": 64} for number, name in enumerate(classes, 1)
        ],
        "annotations": [
            {"id": number, "image_id": number, "category_id": names.index(name) + 1, "bbox": [1, 2, 30, 40]}
            for number, name in enumerate(classes.values(), 1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
    }
    return json.dumps(document).encode()


def labelled(bench: Bench, *classes: str) -> ImageSet:
    """The calibration images as candidates, the first ones annotated."""
    names = [image.name for image in bench.images.images]
    blob = bench.workspace.content.put_bytes(annotated(dict(zip(names, classes, strict=False))))
    return ImageSet(images=bench.images.images, annotations=blob)


def checked(
    bench: Bench, candidates: ImageSet, evaluation: ImageSet, asked: int = 3, missing: str = "warn"
) -> CalibrationChecks:
    found: CalibrationChecks = check_set.fn(bench.images, candidates, evaluation, asked, missing, bench.workspace)
    return found


def test_a_good_set_passes_every_check_with_the_facts(bench: Bench, tmp_path: Path) -> None:
    evaluation = image_set(bench, tmp_path, {"x.png": "dog", "y.png": "cat"})
    found = checked(bench, labelled(bench, "cat", "dog", "elk"), evaluation)
    assert [(one.name, one.outcome) for one in found.checks] == [(name, "passed") for name in SET_CHECKS]
    assert [one.detail for one in found.checks] == [
        "3 asked for, 3 chosen",
        "3 digests, each once",
        "none of the 2 evaluation images",
        "all 2 classes",
    ]


@pytest.mark.parametrize("asked", [2, 4])
def test_another_number_of_images_than_asked_for_is_refused(asked: int, bench: Bench, tmp_path: Path) -> None:
    evaluation = image_set(bench, tmp_path, {"x.png": "dog"})
    with pytest.raises(CalibrationRefused, match=f"as many images as asked for: {asked} asked for, 3 chosen"):
        checked(bench, labelled(bench, "dog"), evaluation, asked)


def test_one_file_under_two_names_is_refused_and_every_failure_told_together(bench: Bench, tmp_path: Path) -> None:
    first = bench.images.images[0]
    twice = first.model_copy(update={"name": "again.png"})
    bench.images = bench.images.model_copy(update={"images": (*bench.images.images, twice)})
    evaluation = image_set(bench, tmp_path, {"x.png": "dog"})
    with pytest.raises(CalibrationRefused, match=r"3 asked for, 4 chosen; no image twice: .* c\.png = again\.png"):
        checked(bench, labelled(bench, "dog"), evaluation)


def test_an_image_that_accuracy_is_measured_on_is_refused_under_any_name(bench: Bench, tmp_path: Path) -> None:
    evaluation = image_set(bench, tmp_path, {"x.png": "dog"})
    same = evaluation.images[0].model_copy(update={"blob": bench.images.images[1].blob})
    with pytest.raises(CalibrationRefused, match=r"none of the evaluation set: accuracy is measured on a\.png"):
        checked(bench, labelled(bench, "dog"), evaluation.model_copy(update={"images": (same,)}))


def test_a_coco_image_of_the_evaluation_set_is_known_by_its_id(bench: Bench, tmp_path: Path) -> None:
    evaluation = image_set(bench, tmp_path, {"000000000139.jpg": "dog"})
    renamed = bench.images.images[0].model_copy(update={"name": "COCO_val2014_000000000139.jpg"})
    bench.images = bench.images.model_copy(update={"images": (renamed, *bench.images.images[1:])})
    with pytest.raises(CalibrationRefused, match=r"accuracy is measured on COCO_val2014_000000000139\.jpg"):
        checked(bench, labelled(bench, "dog"), evaluation)


def test_classes_on_no_calibration_image_are_named_in_a_warning(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluation = image_set(bench, tmp_path, {"x.png": "dog", "y.png": "cat", "z.png": "elk"})
    with caplog.at_level(logging.WARNING, "tasks.calibration_checks"):
        found = checked(bench, labelled(bench, "dog"), evaluation).checks[-1]
    assert (found.outcome, found.detail) == (
        "warning",
        "2 of 3 classes are on no annotated calibration image: cat, elk",
    )
    assert "cat, elk" in caplog.text
    with pytest.raises(CalibrationRefused, match="2 of 3 classes are on no annotated calibration image: cat, elk"):
        checked(bench, labelled(bench, "dog"), evaluation, missing="fail")


def test_a_class_that_only_a_candidate_left_out_shows_is_missing(bench: Bench, tmp_path: Path) -> None:
    candidates = labelled(bench, "dog", "cat", "elk")
    bench.images = bench.images.model_copy(update={"images": bench.images.images[:2]})
    evaluation = image_set(bench, tmp_path, {"x.png": "elk"})
    assert checked(bench, candidates, evaluation, asked=2).checks[-1].detail.endswith("image: elk")


def test_without_annotations_nobody_knows_which_classes_are_shown(bench: Bench, tmp_path: Path) -> None:
    bare = ImageSet(images=bench.images.images, annotations=None)
    evaluation = image_set(bench, tmp_path, {"x.png": "dog"})
    found = checked(bench, bare, evaluation).checks[-1]
    assert (found.outcome, found.detail) == ("not known", "the candidates have no annotations")
    with pytest.raises(CalibrationRefused, match="the candidates have no annotations"):
        checked(bench, bare, evaluation, missing="fail")
    assert covered(None, frozenset({"dog"}), "warn").detail == "the evaluation set has no annotations"


def test_many_missing_classes_are_counted(bench: Bench) -> None:
    wanted = frozenset(f"class {number:02}" for number in range(30))
    detail = covered(wanted, frozenset(), "warn").detail
    assert detail.startswith("30 of 30 classes") and detail.endswith("class 09 and 20 more")


def test_the_compiler_was_given_the_bytes_that_the_runtime_feeds(bench: Bench) -> None:
    table = made(bench)
    found = check_handed.fn(bench.images, table, SPEC, bench.workspace)
    assert [one.outcome for one in found.checks] == ["passed"] * 2
    assert found.checks[0].detail == "images: 3; samples by the compiler's own count: 3"
    handed = []
    for path in sorted((bench.fake.root / "samples").iterdir()):  # what the stand-in compiler read
        with np.load(path) as archive:
            handed.append(archive["x.1"])
    content = bench.workspace.content
    own = [preprocess(read_image(content.verified(image.blob)), SPEC)[np.newaxis] for image in bench.images.images]
    assert [one.tobytes() for one in handed] == [one.tobytes() for one in own]
    assert samples_digest(handed) == table.samples_digest and table.samples_digest in found.checks[1].detail


def made(bench: Bench) -> CalibrationTable:
    table: CalibrationTable = calibrate.fn(
        bench.model, bench.images, SPEC, "kl", bench.fake.toolchain, DRIVING, bench.workspace
    )
    return table


@pytest.mark.parametrize(
    "spec",
    [SPEC.model_copy(update={"mean": (0.4, 0.4, 0.4)}), SPEC.model_copy(update={"channel_order": "RGB"})],
)
def test_tensors_by_another_preprocessing_than_the_runtimes_are_refused(spec: PreprocessSpec, bench: Bench) -> None:
    with pytest.raises(CalibrationRefused, match=r"the compiler was given sha256:.*, the runtime feeds sha256:"):
        check_handed.fn(bench.images, made(bench), spec, bench.workspace)


def test_tensors_in_another_order_are_refused(bench: Bench) -> None:
    table = made(bench)
    turned = bench.images.model_copy(update={"images": bench.images.images[::-1]})
    with pytest.raises(CalibrationRefused, match="the tensors are those that the runtime feeds"):
        check_handed.fn(turned, table, SPEC, bench.workspace)


def test_samples_that_changed_before_the_compiler_are_noticed(bench: Bench) -> None:
    bench.fake.behave(spoils_sample="00001.npz")
    with pytest.raises(CalibrationRefused, match="the compiler was given sha256:"):
        check_handed.fn(bench.images, made(bench), SPEC, bench.workspace)


def test_a_count_of_the_compilers_that_is_not_the_sets_is_refused(bench: Bench) -> None:
    table = made(bench).model_copy(update={"images": 2})
    with pytest.raises(CalibrationRefused, match="images: 3; samples by the compiler's own count: 2"):
        check_handed.fn(bench.images, table, SPEC, bench.workspace)


def test_the_rule_for_missing_classes_is_a_setting() -> None:
    assert load_settings("sample", environ={}).calibration.missing_classes == "warn"
    strict = load_settings("coco", overrides=["calibration.missing_classes=fail"], environ={})
    assert strict.calibration.missing_classes == "fail"
