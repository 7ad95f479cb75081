"""When a new compiler's release may take the good one's place, and what is said where it may not."""

from __future__ import annotations

from typing import Any

import pytest

from artifacts.digest import digest_bytes
from artifacts.release import Accuracy, PreprocessSpec, Provenance, Variant, VariantRecord
from artifacts.store import Blob
from settings.operations import MarginSettings
from tasks.verdict.compare import Comparison, compare
from tasks.verdict.figures import MEASURES, Key, Side
from tasks.verdict.text import summary, verdict_page
from tests.tasks.compared import FP32, HEADS, INT8, figures, record, rung, side, variant

MARGINS = MarginSettings()
OLD = side("1.28.1")


def judged(new: Side, old: Side = OLD, **margins: Any) -> Comparison:
    return compare(old, new, MARGINS.model_copy(update=margins))


def with_int8(**changed: Any) -> Side:
    """A new release, of which the int8 variant's record is another."""
    return side(variants=(variant(FP32), variant(INT8, **changed)))


def keys(comparison: Comparison) -> list[Key]:
    return [one.key for one in comparison.worse]


def test_equal_figures_are_not_worse_and_all_of_them_are_there() -> None:
    found = judged(side())
    assert not found.held and found.reasons == () and found.notes == () and found.obstacles == ()
    # AP, that of the two sizes that occur and of two classes, and three heads twice, for each of three rungs; two files
    assert len(found.differences) == 3 * (1 + 2 + 2 + 3 * 2) + 2 * 3
    assert {one.key.measure for one in found.differences} == set(MEASURES)
    assert (found.good.version, found.good.compiler) == ("1.28.1-abc", "tpu-mlir 1.28.1")


@pytest.mark.parametrize(
    ("changed", "key", "told"),
    [
        ({"figures": figures(ap=0.5979)}, Key("BM1688 int8", "ap"), "AP 0.6000 -> 0.5979 (at most 0.002 less)"),
        ({"figures": figures(small=0.389)}, Key("BM1688 int8", "ap-size", "small"), "AP of small 0.4000 -> 0.3890"),
        ({"figures": figures(circle=0.64)}, Key("BM1688 int8", "ap-class", "circle"), "AP of circle 0.7000 -> 0.6400"),
        ({"figures": figures(circle=None)}, Key("BM1688 int8", "ap-class", "circle"), "0.7000 -> not measured"),
    ],
)
def test_accuracy_that_got_worse_holds(changed: dict[str, Any], key: Key, told: str) -> None:
    found = judged(side("1.30.2", rung(None), rung(FP32), rung(INT8, **changed)))
    assert keys(found) == [key] and found.held
    (reason,) = found.reasons
    assert reason.startswith("BM1688 int8: ") and told in reason


def test_accuracy_that_is_no_longer_measured_holds() -> None:
    found = judged(side("1.30.2", rung(None), rung(FP32), rung(INT8, figures=None)))
    assert {key.measure for key in keys(found)} == {"ap", "ap-size", "ap-class"}
    assert Key("BM1688 int8", "ap-size", "large") not in keys(found)  # there never was any


@pytest.mark.parametrize(
    ("changed", "key", "told"),
    [
        ({"estimated_ms": 0.8900}, "latency", "estimated time 0.864 ms -> 0.890 ms (at most 3 % more)"),
        ({"estimated_ms": None}, "latency", "estimated time 0.864 ms -> not measured"),
        ({"device_memory": 4_200_100}, "memory", "device memory 4.00 MB -> 4.20 MB (at most 5 % more)"),
        ({"blob": Blob(digest=digest_bytes(b"x"), size=6_900_100)}, "size", "file 6.00 MB -> 6.90 MB (at most 15 %"),
    ],
)
def test_a_file_that_got_worse_holds(changed: dict[str, Any], key: str, told: str) -> None:
    found = judged(with_int8(**changed))
    assert keys(found) == [Key("BM1688/centernet_int8_1b.bmodel", key)]  # type: ignore[arg-type]
    assert told in found.reasons[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"estimated_ms": 0.864 * 1.03},
        {"device_memory": 4_200_000},
        {"blob": Blob(digest=digest_bytes(b"x"), size=6_900_000)},
        {"estimated_ms": 0.1, "device_memory": 1, "blob": Blob(digest=digest_bytes(b"x"), size=1)},
    ],
)
def test_just_at_the_margin_and_what_got_better_pass(changed: dict[str, Any]) -> None:
    assert not judged(with_int8(**changed)).held


def test_a_loss_of_exactly_the_margin_passes_although_floating_point_says_more() -> None:
    assert 0.6 - 0.598 > 0.002
    assert not judged(side("1.30.2", rung(None), rung(FP32), rung(INT8, figures=figures(ap=0.598)))).held


def test_a_head_that_got_noisier_holds_by_cosine_and_by_snr() -> None:
    far = {head: {"cosine": 0.9975, "snr_db": 28.5, "max_abs": 1.0} for head in HEADS}
    found = judged(side("1.30.2", rung(None), rung(FP32), rung(INT8, distances={**far})))
    assert keys(found) == [Key("BM1688 int8", name, head) for name in ("cosine", "snr") for head in sorted(HEADS)]
    assert found.reasons == (
        "BM1688 int8: cosine of heatmap 0.99900 -> 0.99750 (at most 0.001 less); "
        "cosine of offset 0.99900 -> 0.99750 (at most 0.001 less); "
        "cosine of size 0.99900 -> 0.99750 (at most 0.001 less), and 3 more",
    )


def test_what_is_furthest_beyond_its_margin_comes_first() -> None:
    worse = figures().model_copy(update={"by_class": {"circle": 0.64, "square": 0.2}})
    found = judged(side("1.30.2", rung(None), rung(FP32), rung(INT8, figures=worse)))
    assert [key.detail for key in keys(found)] == ["square", "circle"]
    one, other = with_int8(estimated_ms=0.9), with_int8(estimated_ms=None)
    assert judged(one).worse[0].excess == pytest.approx(0.036 / (0.864 * 0.03))
    assert judged(other).worse[0].excess == float("inf") == judged(one, latency=1.0).worse[0].excess


def test_noise_far_below_what_fp16_can_tell_is_not_compared_by_the_decibel() -> None:
    clean = side("1.28.1", rung(None), rung(FP32, snr_db=125.0), rung(INT8))
    for snr, held in ((95.0, False), (80.0, False), (78.0, True)):
        assert judged(side("1.30.2", rung(None), rung(FP32, snr_db=snr), rung(INT8)), clean).held is held


def test_wider_margins_let_the_same_release_pass() -> None:
    new = with_int8(estimated_ms=0.9)
    assert judged(new).held and not judged(new, latency=1.05).held


def test_only_what_is_asked_for_is_looked_at() -> None:
    new = with_int8(estimated_ms=9.0)
    assert not compare(OLD, new, MARGINS, ("ap", "size")).held
    assert compare(OLD, new, MARGINS, ("latency",)).held


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"preprocess": PreprocessSpec(width=512, height=512)}, "network or input size"),
        ({"network": "dlav0_34 x1"}, "network or input size"),
        ({"class_names": ("circle", "triangle")}, "images, classes or protocol"),
        ({"protocol": None, "variants": (variant(FP32, accuracy=None),)}, "images, classes or protocol"),
    ],
)
def test_what_cannot_be_compared_is_held_and_not_put_side_by_side(changed: dict[str, Any], reason: str) -> None:
    variants = changed.pop("variants", ())
    found = judged(side(variants=variants, **changed))
    assert found.held and found.differences == ()
    assert found.reasons[0].startswith(f"not comparable: {reason}") and "build once with tpu-mlir 1.28.1" in str(found)


def test_other_weights_cannot_be_compared() -> None:
    other = record().provenance.model_copy(update={"weights_digest": digest_bytes(b"others")})
    found = judged(side(provenance=Provenance.model_validate(other.model_dump())))
    assert found.reasons[0].startswith("not comparable: the weights are not those of release 1.28.1-abc")


def test_a_variant_that_is_missing_holds_and_is_told_once() -> None:
    found = judged(side("1.30.2", rung(None), rung(FP32), variants=(variant(FP32),)))
    assert found.reasons == ("release 1.28.1-abc has BM1688/centernet_int8_1b.bmodel, the new one does not",)
    assert found.worse == () and {one.key.subject for one in found.differences} == {
        "PyTorch",
        "BM1688 fp32",
        "BM1688/centernet_fp32_1b.bmodel",
    }


def test_a_variant_that_is_new_is_noted() -> None:
    more: tuple[VariantRecord, ...] = (
        variant(FP32),
        variant(INT8),
        variant(Variant(chip="BM1684X", precision="int8", batch=4)),
    )
    found = judged(side(variants=more))
    assert not found.held and found.notes == ("New, and so compared with nothing: BM1684X/centernet_int8_4b.bmodel.",)


def test_a_release_from_before_measurements_were_kept_is_compared_by_its_record() -> None:
    old = Side(OLD.record, None)
    found = judged(side(), old)
    assert not found.held and "is from before all measurements were kept" in found.notes[0]
    assert {one.key.measure for one in found.differences} == {"ap", "cosine", "latency", "size", "memory"}
    worse = judged(with_int8(accuracy=Accuracy(ap=0.5, ap50=0.8)), old)
    assert keys(worse) == [Key("BM1688 int8", "ap")]


def test_other_calibration_images_are_noted() -> None:
    calibration = record().calibration
    assert calibration is not None
    other = calibration.model_copy(update={"manifest": Blob(digest=digest_bytes(b"others"), size=6)})
    (note,) = judged(side(calibration=other)).notes
    assert "other calibration images" in note


def test_the_page_tells_what_got_worse_first_and_then_everything() -> None:
    found = judged(with_int8(estimated_ms=1.0, device_memory=5_000_000))
    page = verdict_page(found)
    worse, everything = page.split("## What got worse")[1].split("## Everything that was compared")
    assert page.startswith("# tpu-mlir 1.30.2: held\n")
    assert worse.index("estimated time") < worse.index("device memory") and worse.count("\n| BM1688/") == 2
    assert everything.count("\n| ") == 2 + len(found.differences)
    assert verdict_page(found) == page
    assert "| BM1688/centernet_int8_1b.bmodel | estimated time | 0.864 ms | 1.000 ms | at most 3 % more |" in page


def test_the_page_of_one_that_is_not_worse_says_so() -> None:
    page = verdict_page(judged(side()))
    assert page.startswith("# tpu-mlir 1.30.2: not worse\n") and "What got worse" not in page
    assert "None of 39 figures is worse by more than its margin." in page and summary(judged(side())).startswith("none")


def test_names_from_elsewhere_do_not_become_markup() -> None:
    hostile = {"<script>|x`": 0.7}

    def made(compiler: str, ap: float) -> Side:
        by_class = {name: ap for name in hostile}
        return side(compiler, rung(INT8, figures=figures().model_copy(update={"by_class": by_class})))

    page = verdict_page(judged(made("1.30.2", 0.1), made("1.28.1", 0.7)))
    assert "<script>" not in page and "&lt;script&gt;\\|x'" in page


def test_a_verdict_with_many_reasons_is_told_shortly() -> None:
    chips = [Variant(chip="BM1684X", precision="int8", batch=batch) for batch in range(1, 12)]
    old = side("1.28.1", variants=tuple(variant(one) for one in chips))
    new = side("1.30.2", variants=tuple(variant(one, estimated_ms=2.0) for one in chips))
    told = summary(judged(new, old))
    assert len(judged(new, old).reasons) == 11 and told.count("estimated time") == 6 and told.endswith("And 5 more")
