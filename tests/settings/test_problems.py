"""Wrong settings, and what is said about them."""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settings import Problem, SettingsError, load_settings, schema
from settings.layers import variable
from settings.schema import leaves
from settings.toml_text import format_key, format_value

WORKERS = "a whole number from 1 to 256"
PARTS = (
    "demonstration, network, preprocess, weights, calibration, evaluation, toolchain, matrix, quantize, simulator, "
    "gate, release, store, devices, workers"
)
ROWS = "a list of at least 1, each a table with the keys chip, precisions, batches, cores"
COUNT = "a whole number from 1 to 100000"
MIRROR = "a path, project:PATH, http(s)://..., zip+ADDRESS!/MEMBER or dfss://ACCOUNT@HOST:PATH"

# What stands in a profile file, and all that is said about it; FILE stands for the file.
IN_A_FILE = [
    ('[calibration]\ncount = "200"', f'calibration.count: "200" is not a whole number (FILE); allowed: {COUNT}'),
    ("[calibration]\ncount = 200.0", f"calibration.count: 200.0 is not a whole number (FILE); allowed: {COUNT}"),
    ("[calibration]\ncount = true", f"calibration.count: true is not a whole number (FILE); allowed: {COUNT}"),
    ("[calibration]\ncount = 0", f"calibration.count: 0 is out of range (FILE); allowed: {COUNT}"),
    ("[calibration]\ncuont = 1", "calibration.cuont: is not known, did you mean calibration.count? (FILE)"),
    ("[calibraton]\ncount = 1\nseed = 1", "calibraton: is not known, did you mean calibration? (FILE)"),
    ("float_tail = true", "float_tail: is not known, did you mean quantize.float_tail? (FILE)"),
    (
        '[calibration]\nmethod = "maxx"',
        'calibration.method: "maxx" is not known, did you mean max? (FILE); '
        "allowed: kl, max, mse, percentile9999, aciq_gauss, aciq_laplace",
    ),
    (
        "[calibration]\nmin_side = 0x1ffffffffffffffff",
        "calibration.min_side: is a number of more than 64 bits (FILE)",
    ),
    ("[gate]\nmax_ap_drop = nan", "gate.max_ap_drop: nan is not a finite number (FILE); allowed: a number from 0 to 1"),
    ("[gate]\nmax_ap_drop = inf", "gate.max_ap_drop: inf is not a finite number (FILE); allowed: a number from 0 to 1"),
    ("[gate]\nmax_ap_drop = 1.5", "gate.max_ap_drop: 1.5 is out of range (FILE); allowed: a number from 0 to 1"),
    (
        "[network]\nwidth = 0.3",
        "network.width: 0.3 is out of range (FILE); allowed: a number above 0 up to 1, a multiple of 0.0625",
    ),
    (
        "[preprocess]\nwidth = 100",
        "preprocess.width: 100 is out of range (FILE); allowed: a whole number from 64 to 2048, a multiple of 32",
    ),
    ("[store]\npath = ''", "store.path: is empty (FILE); allowed: a path"),
    ("[store]\npath = 'http://x/y'", "store.path: is an address; a local path is needed here (FILE); allowed: a path"),
    ("profile = 'x'", "profile: cannot be set; choose the profile with --profile (FILE)"),
    ("release.version = 2026-01-01", "release.version: 2026-01-01 is a date or a time; quote it to mean text (FILE)"),
    (
        "toolchain.omp_threads = 1",
        "toolchain.omp_threads: 1 is out of range (FILE); allowed: a whole number from 2 to 64",
    ),
    (
        "weights = 3",
        "weights: 3 is not a table (FILE); allowed: a table with the keys mirrors, size, record_first_use, digest",
    ),
    (
        "weights.digest = 'sha256:00'",
        'weights.digest: "sha256:00" is not of the right form (FILE); '
        "allowed: sha256: and 64, or sha384: and 96 lower-case hexadecimal digits, or none",
    ),
    (
        "weights.mirrors = ['/w.pth']",
        "weights.digest: no digest is known, so what arrives could not be checked; give it (sha256sum FILE), "
        "or set record_first_use = true to trust the first download; "
        "allowed: sha256: and 64, or sha384: and 96 lower-case hexadecimal digits, or none",
    ),
    (
        "weights.mirrors = ['htps://host/w.pth']",
        f"weights.mirrors[0]: htps: is no kind of address, did you mean https:? (FILE); allowed: {MIRROR}",
    ),
    (
        "weights.mirrors = ['zip+https://host/w.zip']",
        f"weights.mirrors[0]: a file in a zip is written zip+ADDRESS!/MEMBER (FILE); allowed: {MIRROR}",
    ),
    (
        "weights.mirrors = ['zip+https://host/w.zip!/../w.pth']",
        f"weights.mirrors[0]: after !/ comes the name of a file in the zip (FILE); allowed: {MIRROR}",
    ),
    ("weights.mirrors = []", f"weights.mirrors: has 0 items (FILE); allowed: a list of at least 1, each {MIRROR}"),
    (
        "calibration.source.kind = 'foldr'",
        'calibration.source.kind: "foldr" is not known, did you mean folder? (FILE); allowed: generated, folder, coco',
    ),
    (
        "calibration.source.folders = ['x']",
        'calibration.source.folders: is not a key of kind "generated"; '
        'it belongs to calibration.source.kind = "folder" (FILE)',
    ),
    (
        "evaluation.source = {kind = 'folder', folders = ['x']}",
        "evaluation.source.annotations: is missing; allowed: a list of at least 1, each a path",
    ),
    (
        "calibration.source.count = 150",
        "calibration.source: offers 150 candidates, fewer than calibration.count = 200 (profile sample, FILE); "
        "allowed: a table with the keys kind, count, seed, or a table with the keys kind, folders, annotations, "
        "or a table with the keys kind, split, image_mirrors, instances, candidates",
    ),
    ("simulator.images = 65", "simulator.images: 65 is more than the evaluation's 64 images (FILE)"),
    (
        "simulator.skip = ['BM1684/centernet_fp16_1b']",
        'simulator.skip: "BM1684/centernet_fp16_1b" matches no variant that can exist, '
        "did you mean BM1684X/centernet_fp16_1b? (FILE); "
        "allowed: a list of CHIP/STEM such as BM1684X/centernet_fp16_4b, * for any text",
    ),
    (
        "matrix = [{chip = 'BM1684Y', precisions = ['fp32']}]",
        'matrix[0].chip: "BM1684Y" is not known, did you mean BM1684? (FILE); allowed: BM1684, BM1684X, BM1688',
    ),
    (
        "matrix = [{chip = 'BM1684', precisions = ['fp32', 'fp16']}]",
        "matrix[0].precisions: BM1684 has no fp16 arithmetic: use fp32 or int8 there, or fp16 on BM1684X or BM1688 "
        "(FILE); allowed: a list of at least 1, each fp32, fp16, int8",
    ),
    (
        "matrix = [{chip = 'BM1684X', precisions = ['fp32'], cores = [1, 2]}]",
        "matrix[0].cores: BM1684X has one core: 2 cores exist only on BM1688 (FILE); "
        "allowed: a list of at least 1, each a whole number from 1 to 2",
    ),
    (
        "matrix = [{chip = 'BM1688', precisions = ['fp32'], batches = [0]}]",
        "matrix[0].batches[0]: 0 is out of range (FILE); allowed: a whole number from 1 to 64",
    ),
    (
        "matrix = [{chip = 'BM1688', precision = ['fp32'], precisions = ['fp32']}]",
        "matrix[0].precision: is not known, did you mean matrix[0].precisions? (FILE)",
    ),
    (
        "matrix = []",
        "matrix: has 0 items (FILE); "
        "allowed: a list of at least 1, each a table with the keys chip, precisions, batches, cores",
    ),
]

# What stands on the command line; the last part of a line names it as the origin.
ON_THE_COMMAND_LINE = [
    ("calibration.count", '"calibration.count": is not KEY=VALUE (from --set); allowed: KEY=VALUE'),
    ("=5", '"=5": is not KEY=VALUE (from --set); allowed: KEY=VALUE'),
    ("calibration..count=5", '"calibration..count=5": is not KEY=VALUE (from --set); allowed: KEY=VALUE'),
    (
        "calibration.count=",
        f'calibration.count: "" is not a whole number (from --set calibration.count); allowed: {COUNT}',
    ),
    (
        "calibration.count='200'",
        f'calibration.count: "200" is not a whole number (from --set calibration.count); allowed: {COUNT}',
    ),
    (
        "workers=[1",
        'workers: "[1" is not TOML (text inside brackets needs quotes): Unclosed array (at end of document) '
        "(from --set workers)",
    ),
    ("workers={}", f"workers: {{}} is not a whole number (from --set workers); allowed: {WORKERS}"),
    (
        "workers=1\nstore.path='x'",
        f"workers: \"1\\nstore.path='x'\" is not a whole number (from --set workers); allowed: {WORKERS}",
    ),
    (
        "matrix.0.chip=BM1684",
        f"matrix: is a list and is set as a whole (from --set matrix.0.chip); allowed: {ROWS}",
    ),
    (
        "quantize.float_tail=yes",
        'quantize.float_tail: "yes" is not a truth value (from --set quantize.float_tail); allowed: true or false',
    ),
    ("release.folder=a\udcff", "release.folder: is not valid UTF-8 (from --set release.folder)"),
    (
        "release.name=Center Net",
        'release.name: "Center Net" is not of the right form (from --set release.name); '
        "allowed: lower-case letters and digits, in groups joined by one of . _ -",
    ),
    (
        "release.version=",
        'release.version: "" is not of the right form (from --set release.version); '
        "allowed: up to 128 letters, digits and . _ -, not beginning with . or -, or none",
    ),
    ("\udcff=1", f'"\\udcff": is not known (from --set "\\udcff"); allowed: {PARTS}'),
]

IN_THE_ENVIRONMENT = [
    (
        "CENTERNET_CALIBRATION_COUNT",
        "1",
        "CENTERNET_CALIBRATION_COUNT: is not the name of a setting, did you mean CENTERNET_CALIBRATION__COUNT? "
        "(from the environment)",
    ),
    (
        "CENTERNET_CALIBRATION__CUONT",
        "1",
        "CENTERNET_CALIBRATION__CUONT: is not the name of a setting, did you mean CENTERNET_CALIBRATION__COUNT? "
        "(from the environment)",
    ),
    ("CENTERNET_workers", "1", "CENTERNET_workers: is not in capital letters; allowed: CENTERNET_WORKERS"),
    ("CENTERNET_", "1", "CENTERNET_: is not the name of a setting (from the environment)"),
    (
        "CENTERNET_WORKERS",
        "many",
        f'workers: "many" is not a whole number (from environment variable CENTERNET_WORKERS); allowed: {WORKERS}',
    ),
    (
        "CENTERNET_GATE",
        "0.5",
        "gate: 0.5 is not a table (from environment variable CENTERNET_GATE); "
        "allowed: a table with the keys max_ap_drop, max_ap_drop_fp16, min_cosine",
    ),
    (
        "CENTERNET_PROFILE",
        "coco",
        "profile: cannot be set; choose the profile with --profile (from environment variable CENTERNET_PROFILE)",
    ),
]

KNOWN = "coco, sample, or a path that ends in .toml"


def lines(profile: str | Path, *overrides: str, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(profile, overrides=overrides, environ=environ)
    assert str(caught.value).encode("utf-8").decode("utf-8").count("\n") == len(caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("text", "expected"), IN_A_FILE)
def test_a_wrong_profile_file(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(f'extends = "sample"\n{text}\n')
    origin = f"from profile {path}"
    expected = expected.replace("(FILE", f"({origin}").replace(", FILE)", f", profile {path})")
    expected = expected.replace("(profile sample", "(from profile sample")
    assert lines(path) == [expected]


@pytest.mark.parametrize(("override", "expected"), ON_THE_COMMAND_LINE)
def test_a_wrong_override(override: str, expected: str) -> None:
    assert lines("sample", override) == [expected]


@pytest.mark.parametrize(("name", "text", "expected"), IN_THE_ENVIRONMENT)
def test_a_wrong_variable(name: str, text: str, expected: str) -> None:
    assert lines("sample", **{name: text}) == [expected]


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
@given(changes=st.dictionaries(KEYS, THINGS, max_size=5), profile=st.sampled_from(["sample", "coco"]))
def test_whatever_is_given_is_taken_or_refused_in_one_line_a_problem(changes: dict[str, Any], profile: str) -> None:
    overrides = [f"{key}={format_value(value)}" for key, value in changes.items()]
    environ = {variable(tuple(key.split("."))): str(value) for key, value in changes.items()}
    for texts, variables in ((overrides, {}), ([], environ)):
        with suppress(SettingsError):
            load_settings(profile, overrides=texts, environ=variables)
            continue
        lines(profile, *texts, **variables)


def test_an_error_survives_pickling_and_copying() -> None:
    error = SettingsError([Problem("a.b", "is wrong", "--set a.b", "5")])
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert other.problems == error.problems
        assert str(other) == str(error)
    assert "1 problem in" in str(error)
    assert "\n  a.b: is wrong (from --set a.b); allowed: 5" in str(error)
