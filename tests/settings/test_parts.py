"""The parts of the settings made directly, and what they are turned into."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from artifacts.release import PreprocessSpec, Variant
from settings import (
    FileSource,
    GeneratedSource,
    MatrixRow,
    PreprocessSettings,
    ReleaseSettings,
    Settings,
    SimulatorSettings,
    expand,
    load_settings,
)
from settings.locations import PROJECT


def test_overlapping_rows_give_each_variant_once_and_in_order() -> None:
    rows = (
        MatrixRow(chip="BM1688", precisions=("int8", "fp32"), batches=(4, 1, 4), cores=(2, 1)),
        MatrixRow(chip="BM1684", precisions=("int8",)),
        MatrixRow(chip="BM1688", precisions=("int8",), batches=(1,)),
    )
    found = expand(rows)
    assert list(found) == sorted(set(found))
    assert [variant.path.removesuffix(".bmodel") for variant in found] == [
        "BM1684/centernet_int8_1b",
        "BM1688/centernet_fp32_1b",
        "BM1688/centernet_fp32_1b_2core",
        "BM1688/centernet_fp32_4b",
        "BM1688/centernet_fp32_4b_2core",
        "BM1688/centernet_int8_1b",
        "BM1688/centernet_int8_1b_2core",
        "BM1688/centernet_int8_4b",
        "BM1688/centernet_int8_4b_2core",
    ]


def test_a_row_may_ask_for_raw_pixels_beside_floats() -> None:
    row = MatrixRow(chip="BM1684X", precisions=("int8",), batches=(1, 4), io=("float", "raw"))
    assert [variant.stem for variant in expand([row])] == [
        "centernet_int8_1b",
        "centernet_int8_1b_raw",
        "centernet_int8_4b",
        "centernet_int8_4b_raw",
    ]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("sample", {"BM1684": 3, "BM1684X": 5, "BM1688": 7}),
        ("coco", {"BM1684": 4, "BM1684X": 8, "BM1688": 16}),
        ("coco-dla34", {"BM1684": 0, "BM1684X": 2, "BM1688": 0}),
    ],
)
def test_a_shipped_matrix_has_every_variant_that_was_promised(profile: str, expected: dict[str, int]) -> None:
    variants = load_settings(profile, environ={}).variants()
    assert {chip: sum(variant.chip == chip for variant in variants) for chip in expected} == expected


def test_the_sample_has_every_kind_of_variant_that_the_full_matrix_has() -> None:
    sample, full = (load_settings(profile, environ={}).variants() for profile in ("sample", "coco"))
    for kind in ("chip", "precision", "batch", "cores", "io"):
        assert {getattr(variant, kind) for variant in sample} == {getattr(variant, kind) for variant in full}


def test_patterns_leave_out_what_they_match_and_nothing_else() -> None:
    simulator = SimulatorSettings(skip=("BM1684X/centernet_fp16_4b", "*/centernet_fp32_*", "BM1688/*_2core"))
    left_out = {
        variant.path
        for variant in load_settings("coco", environ={}).variants()
        if simulator.skips(variant) and variant.precision != "fp32"
    }
    assert left_out == {
        "BM1684X/centernet_fp16_4b.bmodel",
        "BM1688/centernet_fp16_1b_2core.bmodel",
        "BM1688/centernet_fp16_4b_2core.bmodel",
        "BM1688/centernet_int8_1b_2core.bmodel",  # those of raw pixels have another end
        "BM1688/centernet_int8_4b_2core.bmodel",
    }
    assert simulator.skips(Variant(chip="BM1684", precision="fp32", batch=1, cores=1))


@pytest.mark.parametrize(
    "pattern", ["BM1684X", "centernet_fp16_4b", "BM1684X/centernet_fp16_4b.bmodel", "bm1688/*", ""]
)
def test_a_pattern_that_no_variant_can_match_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="matches no variant"):
        SimulatorSettings(skip=(pattern,))


@pytest.mark.parametrize("repository", ["registry.example.com/centernet", "localhost:5000/models/centernet"])
def test_a_release_is_pushed_to_a_repository_on_a_server(repository: str) -> None:
    assert load_settings("sample", overrides=[f"release.push={repository}"], environ={}).release.push == repository
    assert load_settings("sample", environ={}).release.push is None


@pytest.mark.parametrize(
    "repository", ["oci:build/registry", "models/centernet", "localhost/m:1.0.0", "https://example.com/m", ""]
)
def test_what_is_no_repository_on_a_server_is_refused(repository: str) -> None:
    with pytest.raises(ValidationError, match=r"repository on a server|names no release"):
        ReleaseSettings(push=repository)


def test_the_preprocess_spec_has_only_its_size_from_the_settings() -> None:
    assert PreprocessSettings().spec() == PreprocessSpec()
    assert PreprocessSettings(width=640, height=384).spec() == PreprocessSpec(width=640, height=384)


def test_only_a_file_of_the_project_needs_no_digest() -> None:
    FileSource(mirrors=(str(PROJECT / "tasks/x.pth"),))
    FileSource(mirrors=("/elsewhere/x.pth",), record_first_use=True)
    FileSource(mirrors=("/elsewhere/x.pth",), digest="sha256:" + "0" * 64)
    for mirrors in (
        ("/elsewhere/x.pth",),
        (str(PROJECT / "tasks/x.pth"), "https://host/x.pth"),
        (str(PROJECT / ".." / "x.pth"),),
        (f"file://{PROJECT}/x.pth",),
    ):
        with pytest.raises(ValidationError, match="no digest is known"):
            FileSource(mirrors=mirrors)


def test_parts_that_disagree_cannot_be_put_together() -> None:
    found = load_settings("sample", environ={})
    parts = {name: getattr(found, name) for name in Settings.model_fields}
    source = GeneratedSource(kind="generated", count=1)
    assert Settings(**parts) == Settings(**parts)
    with pytest.raises(ValidationError, match=r"simulator\.images 5 is more than the evaluation's 1 images"):
        Settings(
            **{
                **parts,
                "evaluation": found.evaluation.model_copy(update={"source": source}),
                "simulator": SimulatorSettings(images=5),
            }
        )


def test_generated_scenes_of_one_seed_may_serve_both_sides() -> None:
    found = load_settings("sample", environ={})
    assert isinstance(found.calibration.source, GeneratedSource)
    assert isinstance(found.evaluation.source, GeneratedSource)
    assert found.calibration.source.seed == found.evaluation.source.seed


def test_a_protocol_brings_its_own_limits_and_takes_others() -> None:
    assert _limits() == ("coco", 0.001, 100)
    assert _limits("evaluation.protocol.name=sophon-demo") == ("sophon-demo", 0.0, 75)
    both = ("evaluation.protocol.name=sophon-demo", "evaluation.protocol.score_floor=0.35")
    assert _limits(*both) == ("sophon-demo", 0.35, 75)


def _limits(*overrides: str) -> tuple[str, float, int]:
    limits = load_settings("sample", overrides=overrides, environ={}).evaluation.protocol.limits
    return limits.name, limits.score_floor, limits.top_k
