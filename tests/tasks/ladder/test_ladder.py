"""The rungs in order, with what each loses and what was not measured."""

from __future__ import annotations

import pytest

from artifacts.release import Variant
from tasks.ladder.ladder import Ladder, class_losses, of_build, of_release
from tasks.ladder.rows import Row
from tests.artifacts import releases
from tests.tasks.ladder.made import INT8, RAW, evidence, measured, protocol, record, rung

FP16_SIM, INT8_SIM, RAW_SIM = (
    f"BM1684X {text}"
    for text in ("fp16 in the simulator (1b)", "int8 in the simulator (1b)", "int8 in the simulator (1b raw)")
)
HOST, HARDWARE = (f"BM1684X on a device, {kind} preprocessing" for kind in ("host", "hardware"))
BOARD = "BM1684X int8 on device board (1b), host preprocessing"
BOARD_RAW = "BM1684X int8 on device board (1b raw), hardware preprocessing"


def by_name(ladder: Ladder) -> dict[str, Row]:
    return {row.rung: row for row in ladder.rows}


def test_the_rungs_stand_in_order_and_what_was_not_measured_is_among_them() -> None:
    ladder = of_release(record(), measured())
    assert [(row.rung, row.measured) for row in ladder.rows] == [
        ("PyTorch", True),
        ("TorchScript", True),
        ("BM1684X fp32", False),
        ("BM1684X fp16", True),
        ("BM1684X int8", True),
        (FP16_SIM, True),  # by the release record, which the measurements do not contradict
        (INT8_SIM, True),
        (RAW_SIM, True),
        (HOST, False),
        (HARDWARE, False),
    ]
    for row in ladder.rows:
        if not row.measured:
            assert row.remark == "not measured" and row.ap is row.lost is row.images is None and not row.heads


def test_each_rung_loses_against_the_measured_one_before_it_and_against_the_torchscript() -> None:
    rows = by_name(of_release(record(), measured()))
    assert (rows["PyTorch"].lost, rows["PyTorch"].before) == (pytest.approx(-0.01), None)
    assert (rows["TorchScript"].lost, rows["TorchScript"].lost_before) == (None, pytest.approx(0.01))
    fp16, int8 = rows["BM1684X fp16"], rows["BM1684X int8"]
    assert (fp16.before, fp16.lost_before, fp16.lost) == ("TorchScript", pytest.approx(0.01), pytest.approx(0.01))
    assert (int8.before, int8.lost_before) == ("BM1684X fp16", pytest.approx(0.05))
    assert (int8.lost, int8.bounds, fp16.bounds) == (pytest.approx(0.06), (0.04, 0.08), None)


def test_a_bmodel_that_differs_from_the_interpreter_claims_no_ap() -> None:
    row = by_name(of_release(record(), measured()))[INT8_SIM]
    assert (row.ap, row.lost, row.before, row.images) == (None, None, None, 2)
    assert row.remark == "largest difference to the interpreter 0.0078 over 2 images; no AP is claimed"
    assert row.heads["size"].snr_db == 90.0 and row.distance_images == 2


def test_a_bmodel_that_equals_the_interpreter_has_its_accuracy() -> None:
    row = by_name(of_release(record(), measured(identical=True)))[INT8_SIM]
    assert (row.ap, row.before, row.lost_before) == (0.55, "BM1684X int8", 0.0)
    assert (row.lost, row.bounds) == (pytest.approx(0.06), None)
    assert row.remark == "identical on 2 images, so that the AP is the interpreter's"


def test_an_identical_bmodel_without_an_accuracy_to_take_over_claims_none() -> None:
    bare = measured(identical=True).model_copy(
        update={"rungs": (rung("TorchScript", None), rung("BM1684X int8", None))}
    )
    row = by_name(of_release(record(INT8), bare))[INT8_SIM]
    assert row.ap is None and row.remark == "identical on 2 images"


def test_what_older_measurements_lack_of_the_simulator_comes_from_the_record() -> None:
    older = measured().model_copy(update={"simulated": ()})
    row = by_name(of_release(record(), older))[INT8_SIM]
    assert row.remark.startswith("identical on 2 images") and row.heads == {} and row.ap == 0.55
    assert by_name(of_build(older, [INT8]))[INT8_SIM].remark == "not measured"


def test_a_release_from_before_measurements_were_kept_shows_what_its_record_has() -> None:
    rows = by_name(of_release(record(), None))
    assert not rows["PyTorch"].measured and not rows["TorchScript"].measured
    int8 = rows["BM1684X int8"]
    assert (int8.ap, int8.ap50, int8.ap75, int8.lost, int8.images) == (0.36, 0.55, None, None, 64)
    assert int8.heads["hm"].cosine == 0.9995 and int8.heads["hm"].snr_db is None
    assert int8.remark == "from the release record, which holds no more"


def test_what_a_chip_does_not_have_is_said_instead_of_not_measured() -> None:
    ladder = of_build(measured(), [Variant(chip="BM1684", precision="int8", batch=1)])
    assert [one.chip for one in ladder.chips] == ["BM1684", "BM1684X"]
    assert by_name(ladder)["BM1684 fp16"].remark == "this chip has no fp16"
    assert by_name(ladder)["BM1684 int8"].remark == "not measured"
    # It takes no raw pixels, but has BMCV.
    assert by_name(ladder)["BM1684 on a device, hardware preprocessing"].remark == "not measured"
    assert by_name(ladder)["BM1684 on a device, host preprocessing"].remark == "not measured"


def test_a_device_stands_on_the_interpreter_and_hardware_preprocessing_on_the_device() -> None:
    rows = by_name(of_release(record(), measured(), [evidence(RAW, 0.53), evidence(INT8, 0.54)]))
    assert list(rows)[-2:] == [BOARD, BOARD_RAW]
    assert (rows[BOARD].before, rows[BOARD].lost_before) == ("BM1684X int8", pytest.approx(0.01))
    assert (rows[BOARD_RAW].before, rows[BOARD_RAW].lost_before) == (BOARD, pytest.approx(0.01))
    assert rows[BOARD_RAW].lost == pytest.approx(0.08)


def test_preprocessing_by_bmcv_is_a_rung_of_its_own_that_stands_on_the_device() -> None:
    by_bmcv = evidence(INT8, 0.52, report={"setting": {"preprocess": "bmcv"}})
    rows = by_name(of_release(record(), measured(), [by_bmcv, evidence(INT8, 0.54)]))
    row = rows["BM1684X int8 on device board (1b), hardware preprocessing (bmcv)"]
    assert (row.preprocessing, row.before, row.lost_before) == ("hardware", BOARD, pytest.approx(0.02))
    assert rows[BOARD].preprocessing == "host"


def test_hardware_preprocessing_alone_stands_on_the_interpreter_too() -> None:
    rows = by_name(of_release(record(), measured(), [evidence(RAW, 0.53)]))
    assert (rows[BOARD_RAW].before, rows[HOST].measured) == ("BM1684X int8", False)


def test_what_a_device_measured_on_other_images_is_shown_and_compared_with_nothing() -> None:
    other = evidence(INT8, 0.7, protocol=protocol(dataset_digest="sha256:" + "b" * 64, images=5))
    rows = by_name(of_release(record(), measured(), [other, evidence(RAW, 0.53)]))
    row = rows[BOARD]
    assert (row.compared, row.ap, row.images, row.lost, row.lost_before, row.before) == (
        False,
        0.7,
        5,
        None,
        None,
        None,
    )
    assert row.remark.startswith("not compared: another data set (sha256:bbbb")
    assert rows[BOARD_RAW].before == "BM1684X int8"  # nothing stands on it either


def test_a_run_in_the_simulator_is_no_device() -> None:
    seen = [evidence(engine="simulator", device=name) for name in ("simulator", "board")]
    ladder = of_release(record(), measured(), seen)
    row, other = (row for row in ladder.rows if row.device)
    assert row.kind == "simulator" and row.rung == "BM1684X int8 validated in the simulator (1b), host preprocessing"
    assert other.rung == "BM1684X int8 validated in the simulator of board (1b), host preprocessing"
    assert (row.before, by_name(ladder)[HOST].measured) == ("BM1684X int8", False)


def test_without_accuracy_distances_are_shown_and_nothing_is_lost() -> None:
    bare = measured().model_copy(update={"rungs": tuple(rung(one.name, None) for one in measured().rungs)})
    rows = by_name(of_release(record(), bare)).values()
    assert {row.lost for row in rows} == {row.lost_before for row in rows} == {None}
    assert by_name(of_release(record(), bare))["BM1684X int8"].heads["offset"].snr_db == 30.0


def test_some_chips_and_precisions_keep_what_they_lose() -> None:
    every = of_release(releases.record(), measured())
    assert [one.chip for one in every.chips] == ["BM1684", "BM1684X", "BM1688"]
    some = every.only(["BM1684X"], ["int8"])
    assert [row.rung for row in some.rows] == ["PyTorch", "TorchScript", "BM1684X int8", INT8_SIM, HOST, HARDWARE]
    assert by_name(some)["BM1684X int8"].before == "BM1684X fp16"
    assert every.only([], []) == every


def test_the_class_that_loses_most_stands_first_and_one_without_numbers_nowhere() -> None:
    reference = {"cat": 0.5, "dog": 0.6, "elk": None, "fox": 0.4}
    columns = {
        "fp16": {"cat": 0.5, "dog": 0.59, "elk": None, "late": 0.2},
        "int8": {"cat": 0.55, "dog": 0.3, "fox": 0.45},
    }
    lines = class_losses(reference, columns)
    assert [line.name for line in lines] == ["dog", "cat", "fox", "late"]
    assert lines[0].worst == pytest.approx(0.3) and lines[2].worst == pytest.approx(-0.05)
    assert (lines[3].reference, lines[3].worst, lines[3].found) == (None, None, {"fp16": 0.2, "int8": None})
