from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from artifacts.digest import digest_file
from tasks.errors import BadImage
from tasks.image_facts import Candidate, CopyIndex, ImageFacts, measure, measure_all, perceptual_hash
from tasks.images import read_image
from tests.tasks.image_files import cmyk_jpeg, save, scene


def facts_of(path: Path) -> ImageFacts:
    return measure(Candidate(path.name, path))


def photograph(coco_mini: Path, index: int) -> np.ndarray:
    return read_image(sorted((coco_mini / "train2017").iterdir())[index])


def test_facts_name_the_file_and_describe_its_pixels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(1, width=200, height=100))
    facts = measure(Candidate("chosen name.png", path))
    assert (facts.name, facts.digest, facts.size) == ("chosen name.png", digest_file(path), path.stat().st_size)
    assert (facts.width, facts.height, facts.grayscale) == (200, 100, False)
    assert ImageFacts.model_validate_json(facts.model_dump_json()) == facts


def test_statistics_of_known_images(tmp_path: Path) -> None:
    flat = facts_of(save(tmp_path / "flat.png", np.full((80, 80, 3), (0, 0, 200), np.uint8)))
    assert (flat.contrast, flat.sharpness, flat.entropy, flat.hash) == (0, 0, 0, 0)
    assert (flat.luma, flat.saturation) == (60, 255)  # 0.299 * 200
    halves = np.zeros((80, 80, 3), np.uint8)
    halves[:40] = 255
    split = facts_of(save(tmp_path / "halves.png", halves))
    assert (split.luma, split.contrast, split.entropy, split.saturation) == (127.5, 127.5, 1, 0)


def test_what_an_image_does_not_have_gives_no_bits_of_noise() -> None:
    columns = np.tile(np.linspace(255, 0, 97).astype(np.uint8), (61, 1))
    value = perceptual_hash(columns)
    assert value != 0
    assert value & ((1 << 56) - 1) == 0  # only the first row has no vertical frequency


def test_a_blurred_image_is_less_sharp(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3)).astype(np.uint8)
    sharp = facts_of(save(tmp_path / "sharp.png", noise))
    soft = facts_of(save(tmp_path / "soft.png", cv2.GaussianBlur(noise, (0, 0), 2)))
    assert sharp.sharpness > soft.sharpness + 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR),
        lambda image: cv2.convertScaleAbs(image, beta=15),
    ],
    ids=["half size", "quality 50", "brighter"],
)
def test_copies_are_found_and_other_photographs_are_not(coco_mini: Path, tmp_path: Path, edit) -> None:  # type: ignore[no-untyped-def]
    originals = [photograph(coco_mini, index) for index in range(0, 60, 12)]
    for number, image in enumerate(originals):
        save(tmp_path / f"{number}.bmp", image)
        save(tmp_path / f"{number}_copy.bmp", edit(image))
    index = CopyIndex([facts_of(tmp_path / f"{number}.bmp") for number in range(len(originals))])
    for number in range(len(originals)):
        assert index.near(facts_of(tmp_path / f"{number}_copy.bmp"), 6) == f"{number}.bmp"
    assert index.near(facts_of(save(tmp_path / "other.bmp", photograph(coco_mini, 3))), 6) is None


def test_flat_images_are_copies_only_in_one_colour(tmp_path: Path) -> None:
    def flat(name: str, *colour: int) -> ImageFacts:
        return facts_of(save(tmp_path / name, np.full((80, 80, 3), colour, np.uint8)))

    index = CopyIndex()
    assert index.near(flat("red.png", 0, 0, 200), 6) is None
    index.add(flat("red.png", 0, 0, 200))
    assert index.near(flat("blue.png", 200, 0, 0), 6) is None
    assert index.near(flat("nearly red.png", 3, 0, 200), 6) == "red.png"


def test_bad_images_are_rejected_and_the_order_is_kept(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "print.jpg").write_bytes(cmyk_jpeg())
    for number in range(8):
        save(tmp_path / f"{number}.png", scene(number))
    names = ["3.png", "text.jpg", "0.png", "gone.jpg", "7.png", "print.jpg", "1.png"]
    calls: list[None] = []
    facts, rejections = measure_all(
        [Candidate(name, tmp_path / name) for name in names], workers=3, progress=lambda: calls.append(None)
    )
    assert [fact.name for fact in facts] == ["3.png", "0.png", "7.png", "1.png"]
    assert [(item.name, item.reason) for item in rejections] == [
        ("text.jpg", "unreadable"),
        ("gone.jpg", "unreadable"),
        ("print.jpg", "CMYK"),
    ]
    assert len(calls) == len(names)
    assert not any(str(tmp_path) in item.detail for item in rejections)


def test_the_shortest_side_is_a_setting(tmp_path: Path) -> None:
    candidate = Candidate("a.png", save(tmp_path / "a.png", scene(1, width=96, height=72)))
    with pytest.raises(BadImage, match="each side must have 73"):
        measure(candidate, min_side=73)
    assert measure(candidate, min_side=72).height == 72
