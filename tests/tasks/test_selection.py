from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.digest import digest_bytes
from tasks.image_facts import ImageFacts
from tasks.selection import population_by_class, select

STATISTICS = ("luma", "contrast", "saturation", "sharpness", "entropy")


def fact(name: str, **statistics: float) -> ImageFacts:
    values = dict.fromkeys(STATISTICS, 1.0) | statistics
    identity = digest_bytes(name.encode())
    return ImageFacts(
        name=name,
        digest=identity,
        size=1,
        width=64,
        height=64,
        grayscale=False,
        hash=0,
        thumbnail=bytes(192),
        **values,
    )


def crowd(count: int, seed: int = 0) -> list[ImageFacts]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(100, 20, (count, len(STATISTICS))).round(4).tolist()
    return [fact(f"{number:04}", **dict(zip(STATISTICS, row, strict=True))) for number, row in enumerate(rows)]


def names(chosen: list[tuple[ImageFacts, str]]) -> list[str]:
    return [item.name for item, _ in chosen]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.data())
def test_as_many_as_asked_are_chosen_and_none_twice(population: int, data: st.DataObject) -> None:
    # Few distinct values, so that ties are common.
    rows = data.draw(st.lists(st.tuples(*[st.integers(0, 2)] * 5), min_size=population, max_size=population))
    facts = [fact(f"{i}", **dict(zip(STATISTICS, map(float, row), strict=True))) for i, row in enumerate(rows)]
    classes = data.draw(
        st.dictionaries(st.sampled_from([item.name for item in facts]), st.sets(st.sampled_from("abcdef")))
    )
    count = data.draw(st.integers(1, population))
    chosen = select(facts, classes, count=count, seed=data.draw(st.integers(0, 9)))
    assert len(set(names(chosen))) == len(chosen) == count


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_order_of_the_candidates_does_not_matter(shuffler: random.Random, seed: int) -> None:
    facts = crowd(30)
    classes = {"0003": {"zebra", "cat"}, "0004": {"cat"}, "0017": {"zebra"}}
    expected = select(facts, classes, count=12, seed=seed)
    shuffler.shuffle(facts)
    assert select(facts, classes, count=12, seed=seed) == expected


def test_another_seed_gives_another_choice_and_another_order() -> None:
    facts = crowd(60)
    first, second = (names(select(facts, {}, count=20, seed=seed)) for seed in (0, 1))
    assert set(first) != set(second)
    assert first != sorted(first)


def test_every_class_is_covered_the_rarest_first() -> None:
    facts = crowd(50)
    classes = {item.name: {"person"} for item in facts}
    classes["0007"] = {"person", "zebra"}
    classes["0008"] = classes["0009"] = {"person", "kite"}
    chosen = select(facts, classes, count=3, seed=0)
    reasons = sorted(reason for _, reason in chosen)
    # Both show persons, so that no image is needed for those.
    assert reasons[:2] == ["class: kite (2 candidates)", "class: zebra (1 candidate)"]
    assert reasons[2].startswith("spread: ")
    assert set(population_by_class([item for item, _ in chosen], classes)) == {"person", "zebra", "kite"}


def test_an_image_with_several_missing_classes_is_preferred() -> None:
    facts = crowd(10)
    classes = {"0001": {"a"}, "0002": {"a", "b", "c"}, "0003": {"b", "c"}, "0004": {"c"}}
    for seed in range(8):
        chosen = select(facts, classes, count=1, seed=seed)
        assert names(chosen) == ["0002"]
        assert chosen[0][1] == "class: a (2 candidates)"


def test_more_classes_than_images_fill_the_set_with_the_rarest() -> None:
    facts = crowd(60)
    classes = {f"{number:04}": {f"class {number % 25:02}"} for number in range(40)}
    reasons = [reason for _, reason in select(facts, classes, count=20, seed=0)]
    assert sum("(1 candidate)" in reason for reason in reasons) == 10
    assert sum("(2 candidates)" in reason for reason in reasons) == 10


def test_two_separate_kinds_of_image_are_both_taken_in_proportion() -> None:
    facts = [fact(f"day{i}", luma=200 + i / 10) for i in range(90)] + [
        fact(f"night{i}", luma=i / 10) for i in range(10)
    ]
    for seed in range(5):
        kinds = Counter(name.rstrip("0123456789") for name in names(select(facts, {}, count=20, seed=seed)))
        assert kinds["night"] in (2, 3)  # a tenth, and at most the one darkest besides


def test_the_extremes_are_taken_and_named() -> None:
    facts = crowd(400)
    reasons = {reason: item for item, reason in select(facts, {}, count=200, seed=3)}
    assert reasons["range: lowest luma"] == min(facts, key=lambda item: item.luma)
    assert reasons["range: highest entropy"] == max(facts, key=lambda item: item.entropy)


def test_the_sample_is_typical_and_wide() -> None:
    facts = crowd(2000, seed=1)
    values = np.array([[getattr(item, name) for name in STATISTICS] for item in facts])
    sample = np.array([[getattr(i, n) for n in STATISTICS] for i, _ in select(facts, {}, count=200, seed=0)])
    off = np.abs(sample.mean(axis=0) - values.mean(axis=0)) / values.std(axis=0)
    assert off.max() < 0.15
    assert (np.ptp(sample, axis=0) == np.ptp(values, axis=0)).all()


def test_reasons_say_what_is_special() -> None:
    facts = [fact(f"{i}", luma=100 + i % 2, entropy=5 + i % 2) for i in range(30)]
    facts.append(fact("black", luma=0, entropy=0))
    reasons = {item.name: reason for item, reason in select(facts, {}, count=31, seed=0)}
    assert "typical" in {reason.removeprefix("spread: ") for reason in reasons.values()}
    few = {item.name: reason for item, reason in select(facts[-3:], {}, count=3, seed=0)}
    assert few["black"] == "spread: dark, plain"


def test_images_that_are_alike_are_all_typical() -> None:
    facts = [fact(f"{i}", luma=100.1) for i in range(31)]
    reasons = {reason for _, reason in select(facts, {}, count=10, seed=0)}
    assert reasons == {"spread: typical"}


def test_more_than_there_are_cannot_be_chosen() -> None:
    with pytest.raises(ValueError, match="5 images are asked for, 4 are there"):
        select(crowd(4), {}, count=5, seed=0)
