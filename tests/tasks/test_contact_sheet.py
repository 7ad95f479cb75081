from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.contact_sheet import MAX_BYTES, contact_sheet
from tests.tasks.image_files import save, scene


def decoded(data: bytes) -> np.ndarray:
    sheet = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert sheet is not None
    return np.asarray(sheet)


def test_pictures_stand_in_rows_in_their_order(tmp_path: Path) -> None:
    colours = [(0, 0, 200), (0, 200, 0), (200, 0, 0)]
    paths = [save(tmp_path / f"{i}.png", np.full((80, 80, 3), c, np.uint8)) for i, c in enumerate(colours)]
    sheet = decoded(contact_sheet([(path.stem, path) for path in paths], columns=2, thumb=64))
    assert sheet.shape == (2 * (64 + 12 + 4) + 4, 2 * (64 + 4) + 4, 3)
    centres = [sheet[36, 36], sheet[36, 104], sheet[116, 36]]
    assert np.abs(np.array(centres).astype(int) - colours).max() < 12


def test_labels_are_drawn_under_their_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(1))
    plain = decoded(contact_sheet([(" \n ", path)], thumb=112))
    labelled = decoded(contact_sheet([("000000000139\nclass: zebra", path)], thumb=112))
    changed = np.abs(plain.astype(int) - labelled).max(axis=2) > 60
    assert not changed[:112].any()
    assert changed[116:128, 4:100].sum() > 100
    assert changed[128:140, 4:100].sum() > 80


def test_a_long_label_does_not_reach_into_the_next_column(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(1))
    sheet = decoded(contact_sheet([("w" * 200, path), ("", path)], columns=2, thumb=64))
    assert sheet[68:80, 74:130].max() < 60


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    images = [(f"{i}", save(tmp_path / f"{i}.png", scene(i))) for i in range(5)]
    assert contact_sheet(images) == contact_sheet(images)


def test_200_noisy_images_stay_small_enough(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    path = save(tmp_path / "noise.png", noise)
    data = contact_sheet([(f"{number:012}", path) for number in range(200)])
    assert len(data) <= MAX_BYTES
    assert decoded(data).shape[1] == 16 * 116 + 4


def test_thousands_of_images_do_not_outgrow_the_format(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(1))
    assert decoded(contact_sheet((("", path) for _ in range(5000)), columns=1, thumb=16)).shape[0] < 65_535


def test_an_unreadable_image_leaves_a_frame(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    sheet = decoded(contact_sheet([("bad", tmp_path / "bad.jpg")], thumb=64))
    assert sheet[4, 20:60].min() > 150
    assert sheet[30, 20:60].max() < 60


def test_an_empty_set_is_an_empty_sheet() -> None:
    assert decoded(contact_sheet([])).size > 0


@pytest.mark.parametrize(("columns", "thumb"), [(0, 64), (4, 8)])
def test_impossible_sizes_are_refused(columns: int, thumb: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        contact_sheet([], columns=columns, thumb=thumb)
