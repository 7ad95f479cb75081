"""Settings that cannot be used: profiles, several problems at once, and what holds for every problem."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from settings import Problem, SettingsError, load_settings, schema
from settings.layers import variable
from settings.schema import leaves
from settings.toml_text import format_key, format_value
from tests.settings.problem_lines import lines

KNOWN = "coco, coco-dla34, sample, or a path that ends in .toml"


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("coc", f'profile: there is no "coc", did you mean coco?; allowed: {KNOWN}'),
        ("../profiles/coco", f'profile: there is no "../profiles/coco", did you mean coco?; allowed: {KNOWN}'),
        ("", f'profile: there is no ""; allowed: {KNOWN}'),
        ("a\0.toml", f'profile: there is no "a\\u0000.toml"; allowed: {KNOWN}'),
        ("/no/such.toml", 'profile: "/no/such.toml" cannot be read: No such file or directory'),
    ],
)
def test_a_profile_that_is_not_there(profile: str, expected: str) -> None:
    assert lines(profile) == [expected]


def test_a_profile_of_its_own_says_all_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("extends = 3\n")
    allowed = "a profile's name, or a path that ends in .toml"
    assert lines(path) == [f"extends: 3 is not text (from profile {path}); allowed: {allowed}"]
    path.write_text("")
    keys = [line.partition(":")[0] for line in lines(path)]
    assert keys == ["weights.mirrors", "calibration.source", "evaluation.source", "matrix"]


def test_all_problems_of_all_sources_come_together(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        'extends = "sample"\ncolour = 1\n[calibration]\ncount = "1"\nseed = -1\n[preprocess]\nwidth = 1\n'
        "[[matrix]]\nchip = 'BM1684'\nprecisions = ['fp16']\ncores = [2]\n[[matrix]]\nchip = 'x'\nprecisions = []\n"
    )
    found = lines(path, "gate.max_ap_drop=2", "simulator.images=100", "size=3", CENTERNET_WORKERS="x", CENTERNET_X="")
    assert [line.partition(": ")[0] for line in found] == [
        "colour",
        "CENTERNET_X",
        "size",
        "preprocess.width",
        "calibration.count",
        "calibration.seed",
        "matrix[0].precisions",
        "matrix[0].cores",
        "matrix[1].chip",
        "matrix[1].precisions",
        "gate.max_ap_drop",
        "workers",
        "simulator.images",
    ]


def test_calibration_may_not_use_the_evaluation_images(tmp_path: Path) -> None:
    assert lines("coco", "calibration.source.split=val2017") == [
        "calibration.source: may not hold images of the evaluation set: both are val2017 "
        "(from profile coco, --set calibration.source.split)"
    ]
    path = tmp_path / "x.toml"
    path.write_text(
        "extends = 'coco'\ncalibration.source = {kind = 'folder', folders = ['a', 'b']}\n"
        "evaluation.source = {kind = 'folder', folders = ['c', './a/'], annotations = ['i.json']}\n"
    )
    assert lines(path) == [
        f"calibration.source: may not hold images of the evaluation set: {tmp_path}/a (from profile {path})"
    ]


def test_a_secret_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("extends = 'sample'\nweights.mirrors = ['https://user:hunter2@/w.pth?token=hunter2']\n")
    assert "hunter2" not in "".join(lines(path))


KEYS = st.sampled_from([format_key(path) for path, _ in leaves(schema())] + ["gate", "calibration.source", "x.y"])
THINGS = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.sampled_from(["none", "folder", "coco"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=60)
@example(changes={"demonstration": {"\x85": False}}, profile="sample")
@example(changes={"gate": {"a\u2028b": "c\u2029d"}}, profile="coco")
@given(changes=st.dictionaries(KEYS, THINGS, max_size=5), profile=st.sampled_from(["sample", "coco"]))
def test_whatever_is_given_is_taken_or_refused_in_one_line_a_problem(changes: dict[str, Any], profile: str) -> None:
    overrides = [f"{key}={format_value(value)}" for key, value in changes.items()]
    environ = {variable(tuple(key.split("."))): str(value) for key, value in changes.items()}
    for texts, variables in ((overrides, {}), ([], environ)):
        try:
            taken = load_settings(profile, overrides=texts, environ=variables)
        except SettingsError as error:
            assert error.problems and changes
            assert str(error).splitlines()[1:] == [f"  {problem}" for problem in error.problems]
        else:
            assert changes or taken == load_settings(profile, environ={})


def test_an_error_survives_pickling_and_copying() -> None:
    error = SettingsError([Problem("a.b", "is wrong", "--set a.b", "5")])
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert other.problems == error.problems
        assert str(other) == str(error)
    assert "1 problem in" in str(error)
    assert "\n  a.b: is wrong (from --set a.b); allowed: 5" in str(error)
