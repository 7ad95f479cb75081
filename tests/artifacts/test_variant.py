from __future__ import annotations

import itertools
import random
from typing import Any, Dict

import pytest
from pydantic import ValidationError

from artifacts.errors import BadVariant
from artifacts.variant import CHIPS, PRECISIONS, Variant

ALL = [
    Variant.model_validate({"chip": chip, "precision": precision, "batch": batch, "cores": cores})
    for chip, precision, batch, cores in itertools.product(CHIPS, PRECISIONS, (1, 4, 16), (1, 2))
    if not (chip == "BM1684" and precision == "fp16") and not (cores == 2 and chip != "BM1688")
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
    ],
)
def test_a_variant_that_does_not_exist_is_refused_with_the_reason(changes: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Variant(**{"chip": "BM1684X", "precision": "int8", "batch": 1, **changes})


def test_variants_sort_by_chip_precision_batch_and_cores() -> None:
    shuffled = ALL[:]
    random.Random(0).shuffle(shuffled)
    assert sorted(shuffled) == ALL
    assert max(ALL).path == "BM1688/centernet_int8_16b_2core.bmodel"
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
    ],
)
def test_other_paths_name_no_variant(path: str) -> None:
    with pytest.raises(BadVariant):
        Variant.from_path(path)
