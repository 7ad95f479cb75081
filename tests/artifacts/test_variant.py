from __future__ import annotations

import itertools
import random
from typing import Any, Dict

import pytest
from pydantic import ValidationError

from artifacts.errors import BadVariant
from artifacts.variant import CHIPS, IOS, PRECISIONS, Variant

ALL = [
    Variant.model_validate({"chip": chip, "precision": precision, "batch": batch, "cores": cores, "io": io})
    for chip, precision, batch, cores, io in itertools.product(CHIPS, PRECISIONS, (1, 4, 16), (1, 2), IOS)
    if not (chip == "BM1684" and precision == "fp16")
    and not (cores == 2 and chip != "BM1688")
    and not (io == "raw" and (precision != "int8" or chip == "BM1684"))
]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        (("BM1684", "fp32", 1, 1), "BM1684/centernet_fp32_1b.bmodel"),
        (("BM1684X", "int8", 4, 1), "BM1684X/centernet_int8_4b.bmodel"),
        (("BM1688", "int8", 4, 1), "BM1688/centernet_int8_4b.bmodel"),
        (("BM1688", "int8", 4, 2), "BM1688/centernet_int8_4b_2core.bmodel"),
    ],
)
def test_files_have_the_names_that_the_vendors_samples_use(fields: Any, path: str) -> None:
    chip, precision, batch, cores = fields
    variant = Variant(chip=chip, precision=precision, batch=batch, cores=cores)
    assert variant.path == path
    assert (variant.folder, variant.stem) == (chip, path.split("/")[1].replace(".bmodel", ""))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chip": "BM1684", "precision": "fp16"}, "BM1684 has no fp16"),
        ({"cores": 2}, "BM1684X has one core"),
        ({"chip": "BM1688", "cores": 3}, "no chip has 3 cores"),
        ({"cores": 0}, "no chip has 0 cores"),
        ({"batch": 0}, "a batch of 0"),
        ({"chip": "bm1684x"}, "'BM1684', 'BM1684X' or 'BM1688'"),
        ({"precision": "int4"}, "'fp32', 'fp16' or 'int8'"),
        ({"io": "raw", "chip": "BM1684"}, "BM1684 takes no raw pixels"),
        ({"io": "raw", "precision": "fp16"}, "raw pixels are for int8"),
        ({"io": "raw", "precision": "fp32"}, "raw pixels are for int8"),
        ({"io": "uint8"}, "'float' or 'raw'"),
    ],
)
def test_a_variant_that_does_not_exist_is_refused_with_the_reason(changes: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Variant(**{"chip": "BM1684X", "precision": "int8", "batch": 1, **changes})


def test_a_model_that_takes_raw_pixels_says_so_in_its_name() -> None:
    one = Variant(chip="BM1684X", precision="int8", batch=1, io="raw")
    two = Variant(chip="BM1688", precision="int8", batch=4, cores=2, io="raw")
    assert one.path == "BM1684X/centernet_int8_1b_raw.bmodel"
    assert two.path == "BM1688/centernet_int8_4b_2core_raw.bmodel"


def test_a_record_from_before_there_was_raw_is_read_as_float_and_written_as_it_was() -> None:
    old = {"chip": "BM1688", "precision": "int8", "batch": 4, "cores": 2}
    variant = Variant.model_validate(old)
    assert variant.io == "float" and variant.model_dump(mode="json") == old
    assert variant.to_json() == b'{"batch":4,"chip":"BM1688","cores":2,"precision":"int8"}'


def test_raw_is_written_and_read_again() -> None:
    variant = Variant(chip="BM1688", precision="int8", batch=1, io="raw")
    assert variant.model_dump()["io"] == "raw"
    assert Variant.model_validate_json(variant.to_json()) == variant


def test_variants_sort_by_chip_precision_batch_cores_and_io() -> None:
    shuffled = ALL[:]
    random.Random(0).shuffle(shuffled)
    assert sorted(shuffled) == ALL
    assert max(ALL).path == "BM1688/centernet_int8_16b_2core_raw.bmodel"
    assert len(set(ALL)) == len(ALL)


def test_a_path_and_its_variant_are_two_names_of_one_thing() -> None:
    assert [Variant.from_path("somewhere/" + variant.path) for variant in ALL] == ALL


@pytest.mark.parametrize(
    "path",
    [
        "",
        "centernet_int8_1b.bmodel",
        "BM1690/centernet_int8_1b.bmodel",
        "BM1684X/centernet_int8_0b.bmodel",
        "BM1684X/centernet_int8_1b",
        "BM1684X/centernet_int8_1b.bmodel.part",
        "BM1688/centernet_int8_1b_1core.bmodel",
        "BM1684/centernet_fp16_1b.bmodel",
        "BM1684X/centernet_int8_1b_2core.bmodel",
        "BM1684/centernet_int8_1b_raw.bmodel",
        "BM1684X/centernet_fp16_1b_raw.bmodel",
        "BM1688/centernet_int8_1b_raw_2core.bmodel",
        "BM1688/centernet_int8_1b_float.bmodel",
    ],
)
def test_other_paths_name_no_variant(path: str) -> None:
    with pytest.raises(BadVariant):
        Variant.from_path(path)
