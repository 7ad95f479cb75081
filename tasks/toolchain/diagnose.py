"""Known ways in which the compiler fails, told as cause and next step."""

from __future__ import annotations

import re
from typing import NamedTuple


class Diagnosis(NamedTuple):
    """What a failure's log means to whoever has to act.

    Attributes:
        cause: The likely cause, one sentence.
        remedy: What to do next, one sentence.
    """

    cause: str
    remedy: str


class Signature(NamedTuple):
    """A pattern in a log, and what it means. The groups of the pattern fill `{0}`, `{1}` of the texts."""

    pattern: re.Pattern[str]
    cause: str
    remedy: str


DISK_FULL = Diagnosis(
    "The disk is full.",
    "Make space where the store lies and run the same build again: finished steps are kept.",
)

# In order: the first that matches counts, so the specific ones stand before the general ones. A pattern must not match
# a line of a good log: those name every pass, every file and every option too.
SIGNATURES: tuple[Signature, ...] = (
    Signature(
        # cnpy, its archive library, trips over what it could not write a moment before.
        re.compile(r"\[Errno 28\]|No space left on device|cnpy\.cpp:\d+:.*Assertion"),
        *DISK_FULL,
    ),
    Signature(
        re.compile(r"following operators are not implemented: \[([^\]]*)\]"),
        "The network holds operators that the compiler has no translation for: {0}.",
        "Replace them in the network, or trace the module instead of scripting it (aten::conv2d here means scripted).",
    ),
    Signature(
        re.compile(
            r"PytorchStreamReader failed (?:reading zip archive: )?"
            r"(locating file [\w./]+|failed finding central directory|not a ZIP archive|[^\n.]{1,80})"
        ),
        "The TorchScript file is not one, or is cut short ({0}).",
        "It was sound when it was copied from the store: run the build again, and check the disk if it comes back.",
    ),
    Signature(
        re.compile(r"version `?GLIBC_([0-9.]+)'? not found"),
        "The environment mixes two C libraries: something in it needs glibc {0} and finds an older one.",
        "Remove the environment's folder, so that the next build makes it anew and sets the bundled library aside; if "
        "it comes back, this machine's own glibc is too old for this release.",
    ),
    Signature(
        re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'"),
        "The compiler's environment lacks the Python package {0}, which this release does not declare.",
        "Add it to the quirks in tasks/toolchain/quirks.py; the next build then makes a new environment.",
    ),
    Signature(
        re.compile(r"guard: cannot start (\S+): ([^\n]+)"),
        "The compiler's program {0} cannot be started: {1}.",
        "The environment is damaged or was removed meanwhile: remove its folder and run the build again.",
    ),
    Signature(
        re.compile(
            r"can't (?:open calibration table|get scale and zeropoint)"
            r"|UNREACHABLE.*/(?:Module|ImportCalibration)\.cpp:\d+"
        ),
        "The calibration table is missing, empty, or has no range for one of this network's tensors.",
        "Run the calibration anew, over more images or by another `calibration.method`.",
    ),
    Signature(
        re.compile(r"invalid quantize table entry: \[([^\]]*)\]"),
        "The quantize table holds an entry that the compiler does not understand: {0}.",
        "Correct the rule in tasks/toolchain/graph.py that writes the table.",
    ),
    Signature(
        re.compile(r"TopLowering\.h:\d+\s+ASSERT INFO:\s*Not Implemented"),
        "This chip has no such precision for an operator of the network (BM1684 has no fp16).",
        "Take the variant out of the matrix.",
    ),
    Signature(
        re.compile(r"IlpTimeStep\.cpp:\d+"),
        "The layer-group search of optimisation level 3 failed; that level also miscompiles silently.",
        "Do not pass --opt 3.",
    ),
    Signature(
        re.compile(r"readTensor failed|TensorFile\.cpp:\d+"),
        "The weights that the MLIR file names are not beside it, or belong to another network or input shape.",
        "Check that the preprocess size and the network in the settings belong to these weights.",
    ),
    Signature(
        re.compile(r"runtime arch\[(\w+)\] is not the same with bmodel arch\[(\w+)\]"),
        "The bmodel was made for {1}, the runtime here is {0}.",
        "Choose the variant of this chip.",
    ),
    Signature(
        re.compile(r"npz compare FAILED\."),
        "The compiler's own comparison of its result with the reference exceeded its tolerance.",
        "Look at the tensors that the log names; keep those layers in float by a quantize table.",
    ),
    Signature(
        # "2.2" in docs/Calibration_Guide.md of sophgo/sophon-demo (before commit e09314ccf1).
        re.compile(r"^Fail: only one compare!", re.M),
        "tpu-nntc found its own fp32 network further from the original than its limit allows.",
        "The vendor's guide raises the limit by -fp32_diff, which is not planned here: use tpu-mlir for this network.",
    ),
    Signature(
        re.compile(r"^model_deploy(?:\.py)?: error: (unrecognized arguments|argument [^\n:]*: invalid choice)", re.M),
        "This release of the compiler does not know an option that it was given ({0}).",
        "`toolchain.tuned = false` leaves out the options that were measured with another release.",
    ),
    Signature(
        re.compile(r"MemoryError|std::bad_alloc|Cannot allocate memory|^Killed$", re.M),
        "The machine ran out of memory.",
        "Lower `workers` in the settings so that fewer compiles run side by side.",
    ),
    Signature(
        re.compile(r"Command timed out after (\w+)"),
        "A step inside the compiler hit its own time limit of {0}.",
        "Unset TPUC_OPT_TIMEOUT: the whole command has its limit in `toolchain.timeouts`.",
    ),
)


def diagnose(log_text: str) -> Diagnosis | None:
    """Find the first known signature in a log.

    Args:
        log_text: The end of a command's log.

    Returns:
        Cause and next step, or None where the failure is not a known one.
    """
    for signature in SIGNATURES:
        found = signature.pattern.search(log_text)
        if found:
            return Diagnosis(signature.cause.format(*found.groups()), signature.remedy.format(*found.groups()))
    return None
