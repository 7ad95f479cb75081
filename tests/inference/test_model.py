"""Which bmodel of a release is taken, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, Optional

import pytest

from artifacts.release import PreprocessSpec, Variant
from inference.errors import ModelError, OptionError
from inference.model import find_model
from tests.inference.releases import write_release

SPEC = PreprocessSpec(width=64, height=64)

PATHS = (
    "BM1684/centernet_fp32_1b.bmodel",
    "BM1684X/centernet_fp32_1b.bmodel",
    "BM1684X/centernet_fp16_1b.bmodel",
    "BM1684X/centernet_int8_1b.bmodel",
    "BM1684X/centernet_int8_4b.bmodel",
    "BM1688/centernet_int8_1b_2core.bmodel",
    "BM1688/centernet_int8_1b.bmodel",
    "BM1688/centernet_int8_4b.bmodel",
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    files: Dict[Variant, bytes] = {Variant.from_path(path): path.encode() for path in PATHS}
    return write_release(tmp_path / "release", files, spec=SPEC)


@pytest.mark.parametrize(
    "chip, precision, expected",
    [
        (None, None, "BM1688/centernet_int8_1b.bmodel"),
        ("BM1684X", None, "BM1684X/centernet_int8_1b.bmodel"),
        ("BM1684X", "fp16", "BM1684X/centernet_fp16_1b.bmodel"),
        (None, "fp32", "BM1684X/centernet_fp32_1b.bmodel"),
        ("BM1684", None, "BM1684/centernet_fp32_1b.bmodel"),
    ],
)
def test_of_a_folder_the_smallest_batch_of_what_was_asked_for_is_taken(
    release: Path, chip: Optional[str], precision: Optional[str], expected: str
) -> None:
    found = find_model(release, chip=chip, precision=precision)
    assert found.variant.path == expected and found.path == release / expected
    assert found.release.preprocess == SPEC


@pytest.mark.parametrize("score, expected", [(0.2, 0.1), (0.3, 0.25), (0.25, 0.175)])
def test_a_score_of_fp32_lies_between_the_pairs_of_the_release(tmp_path: Path, score: float, expected: float) -> None:
    files = {Variant(chip="BM1684X", precision="int8", batch=1): b"x"}
    release = write_release(tmp_path, files, spec=SPEC, matching_scores=[(0.2, 0.1), (0.3, 0.25)])
    assert find_model(release).matching_score(score) == pytest.approx(expected)


@pytest.mark.parametrize("score", [0.0, 0.19, 0.31, 1.0])
def test_beyond_the_pairs_of_the_release_nothing_is_made_up(tmp_path: Path, score: float) -> None:
    files = {Variant(chip="BM1684X", precision="int8", batch=1): b"x"}
    release = write_release(tmp_path, files, spec=SPEC, matching_scores=[(0.2, 0.1), (0.3, 0.25)])
    with pytest.raises(ModelError, match=r"from 0\.2 to 0\.3, and .* is not among them"):
        find_model(release).matching_score(score)


def test_a_release_that_says_nothing_of_scores_is_no_reason_to_guess(release: Path) -> None:
    with pytest.raises(ModelError, match=r"does not say which scores of BM1688/centernet_int8_1b\.bmodel"):
        find_model(release).matching_score(0.35)


def test_a_batch_that_is_the_only_one_is_taken(tmp_path: Path) -> None:
    release = write_release(tmp_path, {Variant(chip="BM1684X", precision="int8", batch=4): b"x"}, spec=SPEC)
    assert find_model(release).variant.batch == 4


def test_the_smaller_batch_comes_before_the_smaller_number_of_cores(tmp_path: Path) -> None:
    paths = ["BM1688/centernet_int8_4b.bmodel", "BM1688/centernet_int8_1b_2core.bmodel"]
    release = write_release(tmp_path, {Variant.from_path(path): b"x" for path in paths}, spec=SPEC)
    assert find_model(release).variant.path == paths[1]


def test_of_float_and_raw_the_float_one_is_taken_unless_raw_is_asked_for(tmp_path: Path) -> None:
    paths = ["BM1688/centernet_int8_1b_raw.bmodel", "BM1688/centernet_int8_1b.bmodel"]
    release = write_release(tmp_path, {Variant.from_path(path): b"x" for path in paths}, spec=SPEC)
    usual, raw = find_model(release), find_model(release, io="raw")
    assert usual.variant.path == paths[1] and usual.spec == SPEC
    assert raw.variant.path == paths[0] and raw.spec == SPEC.model_copy(update={"fused": True})
    assert [other.path for other in usual.others] == [paths[0]]


@pytest.mark.parametrize("path", PATHS)
def test_a_file_is_taken_as_it_is(release: Path, path: str) -> None:
    assert find_model(release / path).variant.path == path


def test_a_file_given_relative_to_the_working_directory_is_found(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(release / "BM1684")
    found = find_model(Path("../BM1684X/centernet_int8_4b.bmodel"))
    assert found.path.read_bytes() == b"BM1684X/centernet_int8_4b.bmodel"


def test_a_file_that_is_a_link_to_its_bytes_elsewhere_belongs_to_the_release_that_it_lies_in(release: Path) -> None:
    stored = release.parent / "stored"
    (release / PATHS[0]).rename(stored)
    (release / PATHS[0]).symlink_to(stored)
    assert find_model(release / PATHS[0]).variant.path == PATHS[0]


def test_a_release_behind_a_symbolic_link_is_found(release: Path) -> None:
    current = release.parent / "current"
    current.symlink_to(release)
    assert find_model(current / PATHS[0]).variant.chip == "BM1684"


def test_a_file_that_is_no_bmodel_is_told_what_is_wanted(release: Path) -> None:
    with pytest.raises(
        ModelError, match=r"release\.json is no \.bmodel\. Give a release's folder or a \.bmodel in one"
    ):
        find_model(release / "release.json")


def test_a_file_for_another_chip_than_asked_for_is_refused(release: Path) -> None:
    with pytest.raises(ModelError, match="has no BM1684X; it has"):
        find_model(release / PATHS[0], chip="BM1684X")


def test_what_the_release_lacks_is_an_error_that_lists_what_it_has(release: Path) -> None:
    with pytest.raises(ModelError, match=r"has no BM1684 int8; it has BM1684/centernet_fp32_1b\.bmodel, BM1684X/"):
        find_model(release, chip="BM1684", precision="int8")


@pytest.mark.parametrize("wish", [{"chip": "BM1690"}, {"chip": "bm1684x"}, {"precision": "fp8"}])
def test_a_chip_or_precision_that_does_not_exist_is_wrong_usage(release: Path, wish: Dict[str, str]) -> None:
    with pytest.raises(OptionError, match="choose one of"):
        find_model(release, **wish)


@pytest.mark.parametrize("damage", [b"BM1684/centernet_fp32_1b.bmodeX", b"short"])
def test_a_bmodel_whose_bytes_are_not_the_published_ones_is_refused(release: Path, damage: bytes) -> None:
    (release / PATHS[0]).write_bytes(damage)
    with pytest.raises(ModelError, match="is not the file that was published"):
        find_model(release, chip="BM1684")


def test_a_bmodel_that_is_missing_is_named(release: Path) -> None:
    (release / PATHS[0]).unlink()
    with pytest.raises(ModelError, match=r"centernet_fp32_1b\.bmodel"):
        find_model(release, chip="BM1684")


def test_a_bmodel_outside_any_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.bmodel").touch()
    with pytest.raises(ModelError, match=r"holds a release\.json"):
        find_model(tmp_path / "net.bmodel")


def test_a_bmodel_that_its_release_does_not_list_is_refused(release: Path) -> None:
    (release / "BM1684" / "other.bmodel").touch()
    with pytest.raises(ModelError, match=r"has no other\.bmodel"):
        find_model(release / "BM1684" / "other.bmodel")


def test_a_folder_without_a_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no release\.json"):
        find_model(tmp_path)


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no file or folder"):
        find_model(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": "1.0"}', '{"schema_version": "99.0"}'])
def test_a_release_record_that_cannot_be_read_is_refused(release: Path, text: str) -> None:
    (release / "release.json").write_text(text)
    with pytest.raises(ModelError, match=r"release\.json cannot be used"):
        find_model(release)


def test_a_release_of_another_output_stride_is_refused(release: Path) -> None:
    record = json.loads((release / "release.json").read_text())
    record["stride"] = 8
    (release / "release.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match="stride of 8"):
        find_model(release)
