"""What devices measured: what of it may be compared with the release, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from artifacts.release import ReleaseRecord
from tasks.ladder.witnesses import incomparable, of_evidence
from tests.tasks.ladder.made import INT8, RAW, evidence, protocol, record

OTHER = "sha256:" + "c" * 64


def test_the_row_names_device_preprocessing_images_and_runtime() -> None:
    row = of_evidence(evidence(RAW), record())
    assert row is not None and row.rung == "BM1684X int8 on device board (1b raw), hardware preprocessing"
    assert (row.device, row.preprocessing, row.images, row.ap, row.compared) == ("board", "hardware", 64, 0.54, True)
    assert row.remark == (
        "the release's own data set and protocol, 64 images, device BM1684X, libsophon 0.5.1, sail 3.8.0, "
        "2026-01-02T03:04:05Z"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"protocol": protocol(dataset_digest=OTHER)}, f"another data set ({OTHER}, the release's is"),
        ({"protocol": protocol(name="sophon-demo")}, "measured by sophon-demo (score >= 0, best 100), bbox AP"),
        ({"protocol": protocol(score_floor=0.3)}, "measured by coco (score >= 0.3, best 100)"),
        ({"protocol": protocol(top_k=75)}, "measured by coco (score >= 0, best 75)"),
        ({"protocol": protocol(metric="AP at IoU 0.5")}, "AP at IoU 0.5, the release by coco"),
        ({"model_digest": OTHER}, f"it ran other bytes ({OTHER})"),
        ({"variant": "BM1688/centernet_fp32_1b.bmodel"}, "the release has no such model"),
        ({"accuracy": None}, "it has no accuracy"),
    ],
)
def test_what_is_not_about_the_same_is_refused_and_says_why(changes: dict[str, Any], reason: str) -> None:
    row = of_evidence(evidence(INT8, **changes), record())
    assert row is not None and not row.compared
    assert row.remark.startswith("not compared: ") and reason in row.remark
    assert incomparable(evidence(INT8), record()) is None


def test_a_release_without_accuracy_is_compared_with_nothing() -> None:
    own = record()
    variants = tuple(one.model_copy(update={"accuracy": None}) for one in own.variants)
    bare = ReleaseRecord.model_validate({**own.model_dump(), "protocol": None, "variants": variants})
    assert incomparable(evidence(INT8), bare) == "the release has no accuracy"


def test_what_newer_packages_report_beside_ap_is_shown_and_rubbish_is_not() -> None:
    more = {"ap75": 0.4, "by_size": {"small": 0.1}, "by_class": {"dog": 0.5}, "unknown": object()}
    row = of_evidence(evidence(INT8, report=more), record())
    assert row is not None and (row.ap75, row.by_size, row.by_class) == (0.4, {"small": 0.1}, {"dog": 0.5})
    row = of_evidence(evidence(INT8, report={"ap75": "much", "by_class": 3}), record())
    assert row is not None and (row.ap75, row.by_class, row.ap) == (None, {}, 0.54)


def test_evidence_about_no_model_at_all_has_no_row() -> None:
    assert of_evidence(evidence(INT8, variant="nonsense"), record()) is None
