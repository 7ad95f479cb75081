"""One wrong value in a file, on the command line or in the environment, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.settings.problem_lines import lines

WORKERS = "a whole number from 1 to 256"
PARTS = (
    "demonstration, network, preprocess, weights, calibration, evaluation, toolchain, matrix, quantize, simulator, "
    "gate, release, store, devices, workers, "
    "runner, exchange, margins, keep"
)
ROWS = "a list of at least 1, each a table with the keys chip, precisions, batches, cores, io"
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
        "matrix = [{chip = 'BM1688', precisions = ['int8', 'fp16'], io = ['float', 'raw']}]",
        "matrix[0].io: raw pixels are for int8: in fp16 they cost time on the chip and rounding (FILE); "
        "allowed: a list of at least 1, each float, raw",
    ),
    (
        "matrix = [{chip = 'BM1684', precisions = ['int8'], io = ['raw']}]",
        "matrix[0].io: BM1684 takes no raw pixels: its compiler cannot put the preprocessing into the bmodel (FILE); "
        "allowed: a list of at least 1, each float, raw",
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
        "allowed: a list of at least 1, each a table with the keys chip, precisions, batches, cores, io",
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
