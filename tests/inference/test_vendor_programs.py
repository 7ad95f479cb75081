"""Which of the vendor's programs run which model: the contract with sample/CenterNet of sophgo/sophon-demo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

from artifacts.bmodel import read_bmodel
from artifacts.release import PreprocessSpec, ReleaseRecord, TensorInfo, Variant, VariantRecord
from inference.decode import decode
from inference.vendor_programs import CHANNELS, CLASSES, GRID, PROGRAMS, SIZE, in_words, obstacles
from tests.artifacts.bmodel_files import assemble, flatbuffer, model_table, tensor
from tests.artifacts.releases import record, variant_record

SPEC = PreprocessSpec()
PAGE = Path(__file__).parents[2] / "docs" / "vendor-programs.md"
OPENCV, BMCV, BMCV_CPP, SAIL_CPP = (program.name for program in PROGRAMS)


def model(
    batch: int = 1, *, size: int = SIZE, channels: int = CHANNELS, takes: str = "float32", gives: str = "float32"
) -> VariantRecord:
    made = variant_record(Variant(chip="BM1684X", precision="int8", batch=batch), "1")
    given = TensorInfo(name="x", dtype=takes, shape=(batch, 3, size, size))
    heads = TensorInfo(name="y", dtype=gives, shape=(batch, channels, size // 4, size // 4))
    return made.model_copy(update={"inputs": (given,), "outputs": (heads,)})


def running(one: VariantRecord, spec: PreprocessSpec = SPEC) -> Tuple[str, ...]:
    return tuple(program.name for program in PROGRAMS if not obstacles(program, one, spec))


def test_the_channels_mean_here_what_they_mean_to_the_programs() -> None:
    # PostProcess.__call__ and centernet.cpp, post_process: heatmaps, then width, height, then the offsets in x and y.
    assert (CLASSES, CHANNELS, GRID * 4) == (80, 84, SIZE)
    heads = np.full((1, CHANNELS, GRID, GRID), -9.0, np.float32)
    heads[0, 17, 40, 60] = 2.0
    heads[0, CLASSES:, 40, 60] = (10.0, 20.0, 0.25, 0.75)
    found = decode(heads, [(SIZE, SIZE)], conf=0.35)[0]
    centre_x, centre_y = 60.25, 40.75
    box = [centre_x - 5, centre_y - 10, centre_x + 5, centre_y + 10]
    assert found.class_ids.tolist() == [17]
    np.testing.assert_allclose(found.boxes_xyxy[0] / 4, box, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 4])
def test_float_models_at_512_run_in_all_of_them(batch: int) -> None:
    assert running(model(batch)) == (OPENCV, BMCV, BMCV_CPP, SAIL_CPP)
    assert in_words(model(batch), SPEC) == "all four"


@pytest.mark.parametrize(("batch", "but"), [(2, [SAIL_CPP]), (5, [BMCV, SAIL_CPP])])
def test_other_batches_run_where_the_program_knows_them(batch: int, but: List[str]) -> None:
    assert running(model(batch)) == tuple(one.name for one in PROGRAMS if one.name not in but)
    assert f"has batch {batch}, they know " in in_words(model(batch), SPEC)


@pytest.mark.parametrize(
    ("changes", "runs", "why"),
    [
        ({"takes": "uint8", "gives": "float16"}, (), "none (takes uint8, which they do not feed; gives float16,"),
        ({"takes": "int8"}, (BMCV, BMCV_CPP, SAIL_CPP), "takes int8, which they do not feed"),
        (
            {"takes": "int8", "gives": "int8"},
            (BMCV_CPP,),
            f"{BMCV_CPP} (takes int8, which they do not feed; gives int8",
        ),
        ({"gives": "float16"}, (), "none (gives float16, which they do not read)"),
        ({"size": 256}, (), "takes 256 x 256, they are written for 512 x 512; gives a grid of 64 x 64, they"),
        ({"channels": 14}, (), "none (gives 14 channels, they are written for the 84 of 80 classes)"),
    ],
)
def test_what_does_not_fit_is_said(changes: Dict[str, Any], runs: Tuple[str, ...], why: str) -> None:
    assert running(model(**changes)) == runs
    assert why in in_words(model(**changes), SPEC)


def test_several_outputs_and_another_normalisation_fit_none() -> None:
    one = model()
    assert running(one.model_copy(update={"outputs": one.outputs * 3})) == ()
    for changes in ({"channel_order": "RGB"}, {"mean": (0.0, 0.0, 0.0)}, {"std": (1.0, 1.0, 1.0)}, {"scale": 1.0}):
        assert running(one, SPEC.model_copy(update=changes)) == ()


@pytest.mark.parametrize("batch", [1, 4])
def test_a_bmodel_file_has_what_its_record_is_judged_by(batch: int, tmp_path: Path) -> None:
    weights = b"weights!" * 16
    table = model_table(weights, chip="BM1684X")
    stage = table[4][0][3][0]
    stage[0] = [tensor("image", [batch, 3, SIZE, SIZE])]
    stage[1] = [tensor("heads", [batch, CHANNELS, GRID, GRID])]
    (tmp_path / "one.bmodel").write_bytes(assemble(flatbuffer(table), weights + bytes(512)))
    found = read_bmodel(tmp_path / "one.bmodel")
    assert (len(found.nets), len(found.nets[0].stages)) == (1, 1)  # the programs take the first of each
    read = found.nets[0].stages[0]
    one = model(batch).model_copy(update={"inputs": read.inputs, "outputs": read.outputs})
    assert running(one) == (OPENCV, BMCV, BMCV_CPP, SAIL_CPP)


@pytest.mark.parametrize(
    ("variant", "path"),
    [
        # As scripts/auto_test.sh and the tables of the vendor's README have them.
        ({"chip": "BM1684", "precision": "fp32", "batch": 1}, "BM1684/centernet_fp32_1b.bmodel"),
        ({"chip": "BM1684X", "precision": "fp16", "batch": 1}, "BM1684X/centernet_fp16_1b.bmodel"),
        ({"chip": "BM1688", "precision": "int8", "batch": 4}, "BM1688/centernet_int8_4b.bmodel"),
        ({"chip": "BM1688", "precision": "int8", "batch": 4, "cores": 2}, "BM1688/centernet_int8_4b_2core.bmodel"),
    ],
)
def test_files_lie_where_the_vendors_scripts_look(variant: Dict[str, Any], path: str) -> None:
    assert Variant.model_validate(variant).path == path


def test_the_page_says_of_each_program_what_is_asked_here() -> None:
    rows = {
        line.split("|")[1].strip(): line for line in PAGE.read_text().splitlines() if line.startswith("| `centernet_")
    }
    for program in PROGRAMS:
        cells = [cell.strip() for cell in rows[f"`{program.name}`"].split("|")[2:-1]]
        batches = "any" if program.batches is None else ", ".join(map(str, program.batches))
        order = "blue" if program.planes == "BGR" else "red"
        assert cells == [", ".join(program.feeds), ", ".join(program.reads), batches, order]


def test_the_pages_command_writes_the_class_names_so_that_losing_the_last_character_does_no_harm(
    tmp_path: Path,
) -> None:
    one: ReleaseRecord = record()
    (tmp_path / "release.json").write_bytes(one.to_json())
    program = next(line for line in PAGE.read_text().splitlines() if "class_names" in line).split("'")[1]
    made = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, check=True).stdout
    # cpp/centernet_bmcv/centernet.cpp, Init: getline, then all but the last character.
    assert [line[:-1].decode() for line in made.split(b"\n")[:-1]] == list(one.class_names)


def test_the_link_to_a_release_never_lands_inside_the_vendors_own_models(tmp_path: Path) -> None:
    (command,) = [line for line in PAGE.read_text().splitlines() if line.startswith("ln ")]
    (tmp_path / "release").mkdir()
    linked = command.replace("FOLDER", str(tmp_path / "release")).split()
    (tmp_path / "sample" / "models").mkdir(parents=True)
    assert subprocess.run(linked, cwd=str(tmp_path / "sample"), stderr=subprocess.PIPE, check=False).returncode != 0
    assert list((tmp_path / "sample" / "models").iterdir()) == []
    (tmp_path / "sample" / "models").rename(tmp_path / "sample" / "models.vendor")
    subprocess.run(linked, cwd=str(tmp_path / "sample"), check=True)
    assert (tmp_path / "sample" / "models").resolve() == tmp_path / "release"
