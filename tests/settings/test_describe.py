"""The effective settings as text, and the schema that forms are made from."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settings import Settings, known_profiles, load_settings, schema
from settings.schema import leaves
from settings.toml_text import format_value

FRACTIONS = st.floats(0, 1)
PATHS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(lambda text: "/" + text)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "calibration.count": st.integers(1, 260),
    "calibration.seed": st.integers(0, 2**32 - 1),
    "calibration.method": st.sampled_from(["kl", "max"]),
    "evaluation.limit": st.integers(2, 1000) | st.none(),
    "evaluation.meaningful": st.booleans(),
    "evaluation.protocol.score_floor": FRACTIONS,
    "gate.min_cosine.int8.size": FRACTIONS,
    "matrix": st.lists(
        st.fixed_dictionaries(
            {"chip": st.sampled_from(["BM1684X", "BM1688"]), "precisions": st.just(["int8"])},
            optional={"batches": st.lists(st.integers(1, 64), min_size=1, max_size=3)},
        ),
        min_size=1,
        max_size=3,
    ),
    "release.version": st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
    "simulator.skip": st.lists(st.sampled_from(["BM1688/*", "BM1684X/centernet_fp16_4b"])),
    "store.path": PATHS,
    "toolchain.python": PATHS | st.none(),
    "weights.mirrors": st.lists(PATHS, min_size=1, max_size=3),
}
CHANGES = st.fixed_dictionaries({"weights.record_first_use": st.just(True)}, optional=VALUES)


def load(profile: str | Path = "sample", *overrides: str) -> Settings:
    return load_settings(profile, overrides=overrides, environ={})


def values(found: Settings) -> dict[str, object]:
    return found.model_dump(mode="json", exclude={"profile"})


@settings(deadline=None, max_examples=30)
@given(changes=CHANGES)
def test_what_is_described_gives_the_same_settings_again(changes: dict[str, object]) -> None:
    found = load("sample", *(f"{key}={format_value(value)}" for key, value in changes.items()))
    text = found.describe()
    lines = [line for line in text.splitlines() if not line.startswith("#")]

    assert values(load("coco", *lines)) == values(found)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "saved.toml")
        path.write_text(text, encoding="utf-8")
        assert values(load(path)) == values(found)


@settings(deadline=None, max_examples=30)
@given(changes=CHANGES)
def test_every_changed_key_is_described_with_its_origin_and_all_others_with_theirs(changes: dict[str, object]) -> None:
    described = origins(load("sample", *(f"{key}={format_value(value)}" for key, value in changes.items())))
    before = origins(load("sample"))
    assert described.keys() == before.keys()
    for key, origin in described.items():
        assert origin == (f"--set {key}" if key in changes else before[key])


def origins(found: Settings) -> dict[str, str]:
    lines = [line for line in found.describe().splitlines() if not line.startswith("# ")]
    return {line.partition(" = ")[0]: line.rpartition("  # ")[2] for line in lines}


def test_each_source_is_named_as_the_origin(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "sample"\nworkers = 3\n')
    found = load_settings(path, overrides=["gate={max_ap_drop=0.1}"], environ={"CENTERNET_CALIBRATION__COUNT": "100"})
    lines = found.describe().splitlines()
    assert lines[0] == '# profile "mine.toml"'
    assert f"workers = 3  # profile {path}" in lines
    assert "network.width = 0.25  # profile sample" in lines
    assert "gate.max_ap_drop = 0.1  # --set gate" in lines
    assert "calibration.count = 100  # environment variable CENTERNET_CALIBRATION__COUNT" in lines
    assert "calibration.seed = 0  # default" in lines
    assert 'evaluation.limit = "none"  # default' in lines


def test_secrets_in_addresses_are_not_printed() -> None:
    mirror = "zip+https://user:hunter2@host/w.zip?token=hunter2!/w.pth"
    found = load("sample", f"weights.mirrors={mirror}", "weights.record_first_use=true")
    assert found.weights.mirrors == (mirror,)
    assert 'weights.mirrors = ["zip+https://host/w.zip?...!/w.pth"]' in found.describe()
    assert "hunter2" not in found.describe()


@pytest.mark.parametrize("profile", known_profiles())
def test_the_description_is_toml_that_holds_every_key(profile: str) -> None:
    found = load(profile)
    assert tomllib.loads(found.describe()).keys() == values(found).keys()


def test_every_key_has_a_description_for_a_form() -> None:
    def undescribed(node: dict[str, Any], key: str) -> Iterator[str]:
        for option in node.get("oneOf", [node]):
            for name, child in option.get("properties", {}).items():
                if not child.get("description", "").strip():
                    yield f"{key}.{name}"
                yield from undescribed(child.get("items", child), f"{key}.{name}")

    assert list(undescribed(schema(), "")) == []
    assert len(list(leaves(schema()))) > 50


def test_a_part_is_dumped_the_same_however_it_was_set() -> None:
    first = load("sample", "calibration.count=100", "calibration.source.count=150")
    second = load("sample", "calibration={source={count=150}, count=100}")
    assert first.calibration.model_dump_json() == second.calibration.model_dump_json()


def test_another_method_does_not_choose_images_again() -> None:
    first, second = load("sample", "calibration.method=kl"), load("sample", "calibration.method=max")
    assert first.calibration != second.calibration
    assert first.calibration.curation == second.calibration.curation
    assert first.calibration.curation != load("sample", "calibration.seed=1").calibration.curation
