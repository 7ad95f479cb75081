"""What the compiler really printed, translated. The logs in data/logs are its own, shortened."""

from __future__ import annotations

import pytest

from tasks.toolchain.diagnose import DISK_FULL, SIGNATURES, diagnose
from tests.tasks.toolchain.fakes import DATA

LOGS = DATA / "logs"

REAL = {
    "failed_unknown_operator": "no translation for: 'aten::erfinv'",
    "failed_scripted": "no translation for: 'prim::If', 'aten::conv2d', 'aten::Bool'",
    "failed_state_dict": "The TorchScript file is not one, or is cut short (locating file constants.pkl)",
    "failed_truncated_module": "(failed finding central directory)",
    "failed_empty_module": "(not a ZIP archive)",
    "failed_no_table": "The calibration table is missing",
    "failed_half_table": "has no range for one of this network's tensors",
    "failed_bad_quantize_table": "does not understand: /dev/stdin",
    "failed_fp16_on_bm1684": "BM1684 has no fp16",
    "failed_no_weights": "The weights that the MLIR file names are not beside it",
    "failed_disk_full": "The disk is full",
    "failed_disk_full_archive": "The disk is full",
}

TOLD = {
    "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.36' not found (required by python)": "needs glibc 2.36",
    "Traceback (most recent call last):\nModuleNotFoundError: No module named 'psutil'\n": "Python package psutil",
    "guard: cannot start /opt/bin/model_deploy: No such file or directory\n": "/opt/bin/model_deploy cannot be started",
    "UNREACHABLE executed at /__w/tpu-mlir/lib/Support/TensorFile.cpp:293!": "or input shape",
    "tpuc-opt: lib/LayerGroup/IlpTimeStep.cpp:832: Assertion `false' failed.": "optimisation level 3",
    "[BMRT][load_bmodel] WRONG: runtime arch[BM1688] is not the same with bmodel arch[BM1684]": "made for BM1684",
    "min_similarity not met\nnpz compare FAILED.\n": "exceeded its tolerance",
    "max diff = 0.00158691 max diff blob id : 4\nFail: only one compare!\n": "tpu-nntc found its own fp32 network",
    "Killed\nTraceback (most recent call last):\n": "out of memory",
    "terminate called after throwing an instance of 'std::bad_alloc'": "out of memory",
    "RuntimeError: Command timed out after 1s": "time limit of 1s",
    "model_deploy.py: error: unrecognized arguments: --compress_mode": "an option that it was given (unrecognized",
    "model_deploy.py: error: argument --opt: invalid choice: 'all'": "given (argument --opt: invalid choice)",
    "OSError: [Errno 28] No space left on device": "The disk is full",
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_failure_is_told_as_cause_and_next_step(name: str) -> None:
    found = diagnose((LOGS / f"{name}.txt").read_text())
    assert found is not None and REAL[name] in found.cause and found.remedy.endswith(".")


@pytest.mark.parametrize("text", TOLD)
def test_a_known_last_line_is_told_as_cause_and_next_step(text: str) -> None:
    found = diagnose(f"some lines before\n{text}")
    assert found is not None and TOLD[text] in found.cause and "{" not in found.cause + found.remedy


def test_every_signature_has_a_failure_that_it_is_the_first_to_match() -> None:
    texts = [*TOLD, *((LOGS / f"{name}.txt").read_text() for name in REAL)]
    first = [next(signature for signature in SIGNATURES if signature.pattern.search(text)) for text in texts]
    assert set(first) == set(SIGNATURES)


@pytest.mark.parametrize("name", sorted(path.stem for path in LOGS.glob("good_*.txt")))
def test_no_pattern_fires_on_a_good_log(name: str) -> None:
    text = (LOGS / f"{name}.txt").read_text()
    assert len(text) > 1000
    assert diagnose(text) is None


def test_an_unknown_failure_is_not_guessed_at() -> None:
    assert diagnose("Segmentation fault (core dumped)\nRuntimeError: [!Error]: tpuc-opt centernet.mlir") is None


def test_of_two_failures_the_disk_comes_first() -> None:
    assert diagnose("readTensor failed\nLLVM ERROR: IO failure on output stream: No space left on device") == DISK_FULL
