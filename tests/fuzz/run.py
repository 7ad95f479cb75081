"""Fuzz one target: `python -m tests.fuzz.run TARGET --seconds N --corpus DIR`.

The fuzzer is atheris (libFuzzer). It runs in a process of its own, which is started again after an input that kills it;
an exception that the parser does not declare is noted, and the search goes on.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz import loading
from tests.fuzz.findings import ROOT, Findings
from tests.fuzz.mutation import mutated

_STARTED = time.time()

RSS_LIMIT_MB = 3072
MEMORY_LIMIT_MB = 6144
TIME_LIMIT_S = 20
MOST_BYTES = 1 << 16
_INSTRUMENTED = [
    "artifacts", "inference", "settings", "tasks", "tests.fuzz.targets",
    "tomllib", "zipfile", "email", "base64", "json", "urllib", "posixpath", "remotezip",
]  # fmt: skip
_UNPICKLER = "torch._weights_only_unpickler"
_COUNTED = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/")
_EXECUTED = re.compile(r"number_of_executed_units: (\d+)")


def main() -> int:
    """Fuzz one target and write `summary.json` beside its corpus."""
    options = _options()
    if options.child:
        _child(options.target, options.corpus, options.until)
        return 0
    # Starting counts: the machine may be lent for so long.
    summary = fuzz(options.target, _STARTED + options.seconds, options.corpus)
    print(json.dumps(summary, indent=2))
    return 1 if summary["crashes"] else 0


def fuzz(name: str, until: float, folder: Path) -> dict[str, Any]:
    """Fuzz one target.

    Args:
        name: The target.
        until: When to end, seconds since the epoch.
        folder: Where its corpus, its log and what it finds are kept.

    Returns:
        What happened: seconds, executions, coverage, features, size of the corpus, restarts, failures, slowest input.
    """
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(loading.load(name).seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    for case in loading.cases(name):
        (corpus / f"case-{case.name}").write_bytes(case.read_bytes())
    started, executed, starts = time.time(), 0, 0
    counted = (0, 0, 0)
    while until - time.time() > 1:
        starts += 1
        said = _started(name, folder, until)
        executed += _executions(said)
        found = _COUNTED.findall(said)
        if found:
            counted = (int(found[-1][1]), int(found[-1][2]), int(found[-1][3]))
        if starts > 50:
            break
    summary = {
        "target": name,
        "seconds": round(time.time() - started),
        "executions": executed,
        "coverage": counted[0],
        "features": counted[1],
        "corpus": counted[2],
        "restarts": starts - 1,
        "slowest_s": _slowest(folder),
        "crashes": [path.read_text().splitlines()[0] for path in sorted((folder / "found").glob("*.txt"))]
        + [path.name for path in sorted((folder / "found").glob("*-*")) if not path.name.startswith("slow-unit")],
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return summary


def _started(name: str, folder: Path, until: float) -> str:
    argv = [sys.executable, "-m", "tests.fuzz.run", name, "--child", "--until", str(until), "--corpus", str(folder)]
    quiet = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENCV_LOG_LEVEL": "SILENT",
        "CUDA_VISIBLE_DEVICES": "",
    }
    log = folder / "log"
    with log.open("ab") as sink:
        begin = sink.tell()
        process = subprocess.Popen(
            argv, cwd=ROOT, env={**os.environ, **quiet}, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        try:
            process.wait(max(1.0, until - time.time()) + TIME_LIMIT_S + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return log.read_bytes()[begin:].decode(errors="replace")


def _executions(said: str) -> int:
    whole, counted = _EXECUTED.findall(said), _COUNTED.findall(said)
    return int(whole[-1]) if whole else int(counted[-1][0]) if counted else 0


def _slowest(folder: Path) -> float:
    path = folder / "slowest.txt"
    return float(path.read_text()) if path.is_file() else 0.0


def _child(name: str, folder: Path, until: float) -> None:
    import atheris

    if name == "checkpoint":
        # torch as a whole would take minutes to be instrumented; only what reads a pickle is.
        import torch.serialization

        del sys.modules[_UNPICKLER]
        with atheris.instrument_imports(include=[_UNPICKLER]):
            torch.serialization._weights_only_unpickler = importlib.import_module(_UNPICKLER)
    with atheris.instrument_imports(include=_INSTRUMENTED):
        target = loading.load(name)
    limit = MEMORY_LIMIT_MB << 20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    findings = Findings(folder / "found")

    def once(data: bytes) -> None:
        before = findings.slowest
        findings.watch(target.run, data)
        if findings.slowest > max(before, _slowest(folder)):
            (folder / "slowest.txt").write_text(f"{findings.slowest:.3f}")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        return (mutated(data, seed, most) if seed % 4 else None) or atheris.Mutate(data, most)

    arguments = [
        name,
        str(folder / "corpus"),
        f"-max_total_time={max(1, int(until - time.time()))}",
        f"-rss_limit_mb={RSS_LIMIT_MB}",
        f"-timeout={TIME_LIMIT_S}",
        f"-max_len={MOST_BYTES}",
        f"-artifact_prefix={folder / 'found'}/",
        "-print_final_stats=1",
        "-reload=0",
        "-report_slow_units=5",
    ]
    atheris.Setup(arguments, once, **({"custom_mutator": mutate} if target.json else {}))
    atheris.Fuzz()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=loading.names())
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=lambda text: Path(text).absolute(), required=True)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
