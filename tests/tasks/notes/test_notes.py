"""The notes of a release: which numbers stand in which column, and what is said of each."""

from __future__ import annotations

import re
from typing import Any

import pytest

from artifacts.digest import canonical_json, digest_bytes
from artifacts.release import Variant
from tasks.notes.published import ACCURACY, CHIP_MS, DIGEST, TIMES
from tasks.notes.text import notes
from tasks.released import Released
from tests.tasks.ladder.made import INT8, RAW, evidence, measured, protocol, record

STAGES = {
    "stages": {name: {"median_ms": value, "p95_ms": 9.0} for name, value in (("read", 1.5), ("infer", 4.25))},
}


def released(*found: Any, **changes: Any) -> Released:
    return Released("sha256:" + "e" * 64, record().model_copy(update=changes), measured(), found)


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and "| --- |" not in line]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def test_models_are_listed_with_the_programs_that_run_them_and_why_the_others_not() -> None:
    models = section(notes(released()), "Models")
    found = {cells[0]: cells[-2:] for cells in rows(models)}
    assert found["BM1684X/centernet_int8_1b.bmodel"] == ["all four", "yes"]
    one = next(item for item in record().variants if item.variant == RAW)
    raw = one.model_copy(update={"inputs": (one.inputs[0].model_copy(update={"dtype": "uint8"}),)})
    models = section(notes(released(variants=(raw,))), "Models")
    assert {cells[0]: cells[-2:] for cells in rows(models)}[RAW.path] == ["none", "no"]
    assert "- Where not: the model takes uint8, which they do not feed (every model)" in models
    assert "not in this release: BM1684/centernet_fp32_1b, " in models


def test_every_accuracy_has_its_protocol_and_how_it_was_obtained() -> None:
    text = section(notes(released()), "Accuracy")
    table = rows(text)[1:]
    ours = [cells for cells in table if cells[5] == "A"]
    assert [cells[:5] for cells in ours if cells[0] == "no device"] == [
        ["no device", "compiler's interpreter", "BM1684X fp16", "0.6000", "0.6000"],
        ["no device", "compiler's interpreter", "BM1684X int8", "0.5500", "0.5500"],
    ]
    assert all(re.match("in the interpreter, 64 images|identical on 2 images, so that", cells[6]) for cells in ours)
    theirs = [cells for cells in table if cells[5] == "V"]
    assert theirs[0][:5] == [
        "BM1684X PCIe",
        "centernet_opencv.py",
        "centernet_fp32_1b (the vendor's)",
        "0.302",
        "0.487",
    ]
    assert len(theirs) == 12 and all(cells[6] == "measured by the vendor" for cells in theirs)
    assert len(ours) + len(theirs) == len(table) and "BM1688" not in text
    assert (
        "- **A**: this release's: `coco`, bbox AP, 64 images" in text and "- **V**: the vendor's: 1000 images" in text
    )
    assert "int8 1b: largest difference to the interpreter 0.0078 over 2 images." in text


def test_a_bmodel_that_equals_the_interpreter_in_the_simulator_has_its_row() -> None:
    exact = released()._replace(measurements=measured(identical=True))
    found = {cells[2]: cells for cells in rows(section(notes(exact), "Accuracy"))}
    row = found["BM1684X int8 1b"]
    assert row[0] == "simulator of BM1684X" and row[3:6] == ["0.5500", "0.5500", "A"]
    assert row[6].startswith("identical on 2 images")
    assert "BM1684X int8 1b" not in {cells[2] for cells in rows(section(notes(released()), "Accuracy"))}


def test_what_a_device_measured_by_another_protocol_has_a_letter_of_its_own() -> None:
    other = protocol(name="sophon-demo", score_floor=0.35, top_k=75, images=9)
    again = evidence(INT8, 0.51, protocol=other)
    text = section(notes(released(evidence(INT8, 0.54), again, again)), "Accuracy")
    found = [cells for cells in rows(text) if cells[1] == "inference validate"]
    assert [(cells[0], cells[3], cells[5]) for cells in found] == [
        ("device board (BM1684X)", "0.5400", "A"),
        *[("device board (BM1684X)", "0.5100", "B")] * 2,
    ]
    assert "sail 3.8.0" in found[0][6] and "not compared with the rest: measured by sophon-demo" in found[1][6]
    assert "- **B**: of what a device measured: `sophon-demo`, bbox AP, 9 images" in text
    assert "scores from 0.35, best 75 of an image, best class of a cell only, boxes cut to whole pixels" in text
    assert "**C**" not in text


def test_estimates_are_an_image_and_stand_in_another_column_than_what_the_vendor_measured() -> None:
    four = Variant(chip="BM1684X", precision="int8", batch=4)
    found = rows(section(notes(released(variants=record(INT8, RAW, four).variants)), "Time on the chip"))
    assert "estimate" in found[0][1] and "measured" in found[0][2]
    assert found[1:] == [
        ["BM1684X/centernet_int8_1b.bmodel", "3.301", "4.4"],
        ["BM1684X/centernet_int8_1b_raw.bmodel", "3.301", "-"],
        ["BM1684X/centernet_int8_4b.bmodel", "0.825", "4.0"],
    ]


def test_stage_times_are_those_of_devices_that_ran_this_very_model() -> None:
    seen = evidence(INT8, report=STAGES)
    others = [
        evidence(INT8, report=STAGES, model_digest="sha256:" + "f" * 64),
        evidence(INT8, report=STAGES, engine="simulator"),
        evidence(INT8, report={"stages": ["anything"]}),
    ]
    found = rows(section(notes(released(seen, *others)), "Time by stage"))
    ours = [cells for cells in found if cells[1] == "inference validate"]
    assert len(ours) == 1 and ours[0][:7] == ["device board (BM1684X)", ours[0][1], INT8.path, "1.50", "-", "4.25", "-"]
    assert ours[0][7].startswith("median, 64 images, device BM1684X")
    vendors = found[2]
    assert vendors[3:] == ["15.31", "40.02", "71.32", "817.13", "mean, measured by the vendor"]
    none = [cells for cells in rows(section(notes(released(*others)), "Time by stage")) if "no device" in cells[0]]
    assert len(none) == 1 and none[0][7].startswith("not measured: ")


@pytest.mark.parametrize("value", [True, -0.5, 10**400, 1e300, float("nan"), float("inf"), "4.25", None, [4.25]])
def test_a_time_that_is_none_is_not_printed(value: object) -> None:
    report = {"stages": {"read": {"median_ms": value}, "infer": {"median_ms": 0}}}
    found = rows(section(notes(released(evidence(INT8, report=report))), "Time by stage"))
    (ours,) = [cells for cells in found if cells[1] == "inference validate"]
    assert ours[3:7] == ["-", "-", "0.00", "-"]


@pytest.mark.parametrize(("network", "width", "same"), [("dlav0_34 x1", 512, True), ("dlav0_34 x0.25", 512, False)])
def test_other_networks_than_the_vendors_are_told_beside_every_pair_of_columns(
    network: str, width: int, same: bool
) -> None:
    text = notes(released(network=network))
    told = "Both are of one network" if same else "**They are of different networks**"
    assert all(told in section(text, title) for title in ("Accuracy", "Time on the chip", "Time by stage"))
    assert text.count("different networks") == 3 * (not same)


def test_a_release_without_accuracy_or_measurements_says_so() -> None:
    bare = tuple(one.model_copy(update={"accuracy": None}) for one in record().variants)
    older = released(protocol=None, variants=bare)._replace(measurements=None)
    text = section(notes(older), "Accuracy")
    assert "- **A**: this release's: accuracy was not measured" in text
    ours = [cells for cells in rows(text)[1:] if cells[1] == "compiler's interpreter"]
    assert ours and all(cells[3:6] == ["-", "-", "-"] for cells in ours)


def test_what_others_named_breaks_no_table() -> None:
    odd = evidence(INT8, 0.5, device="a | b\n<i>", versions={"libsophon": "|"}, report=STAGES)
    text = notes(released(odd))
    assert "a \\| b \\<i\\>" in text
    split = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("| ")]
    assert {len(cells) for cells in split} == {8, 9, 10, 5}


def test_the_vendors_numbers_are_whole() -> None:
    assert digest_bytes(canonical_json([ACCURACY, CHIP_MS, TIMES])) == DIGEST
    # As many rows as its README has at c7c94bb; AP falls from fp32 to int8 nowhere by more than 0.011 there.
    assert (len(ACCURACY), len(CHIP_MS), len(TIMES)) == (32, 15, 40)
    by_program = {(one.platform, one.program, one.stem): float(one.ap) for one in ACCURACY}
    assert len(by_program) == 32
    for (platform, program, stem), ap in by_program.items():
        if stem == "centernet_int8_1b":
            assert 0 <= by_program[platform, program, "centernet_fp32_1b"] - ap < 0.011
    assert all(float(one.inference) > 0 and one.platform.endswith(" SoC") for one in TIMES)
