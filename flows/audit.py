"""Known vulnerabilities of what is pinned here: python -m flows.audit [--service pypi|osv]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from artifacts.standard_output import ended
from settings.locations import PROJECT
from settings.sections import ToolchainSettings
from tasks.audit import Service, answers, ask, outdated, pins, told
from tasks.toolchain.provision import LOCKS, NAME

DONE, FAILED = 0, 1

_UNANSWERED = (
    "NOT AUDITED: {service}'s database of vulnerabilities gave no answer that can be believed. It is asked about a "
    "package with a vulnerability that has been known for years, and did not name it. Is there a way to it, or a "
    "proxy? Nothing is known of the packages here; run this where the database can be reached, or take the other one "
    "by --service."
)


def run_audit(argv: Sequence[str]) -> int:
    """Ask about the build environment, the compiler's and the oldest device's packages, and say what was found.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 where all of the first two was asked about and nothing is known of it, else 1.
    """
    service: Service = _parser().parse_args(argv).service
    _tell_outdated()
    if not answers(service):
        print(_UNANSWERED.format(service=service), file=sys.stderr)
        return FAILED
    compiler = LOCKS / f"{NAME}-{ToolchainSettings().version}.txt"
    asked = [
        _asked("the build environment", pins(PROJECT / "constraints.txt"), service),
        _asked(f"the compiler's environment, {compiler.stem}", pins(compiler), service),
    ]
    # What a board may have at its oldest is there for the tests. Nobody is told to install it.
    _asked("the oldest packages that a board may have", pins(PROJECT / "constraints-device.txt"), service)
    return DONE if all(asked) else FAILED


def _asked(what: str, pinned: tuple[str, ...], service: Service) -> bool:
    answer = ask(pinned, service)
    if answer is None or answer.asked < len(pinned):
        print(f"{what}: NOT AUDITED, {service} gave no answer", file=sys.stderr)
        return False
    print(f"{what}: {len(answer.findings)} of {answer.asked} packages with known vulnerabilities")
    if answer.findings:
        print(told(answer.findings))
    if answer.unknown:
        print(f"{what}: NOT AUDITED: {', '.join(answer.unknown)}", file=sys.stderr)
    return not answer.findings and not answer.unknown


def _tell_outdated() -> None:
    found = outdated(Path(sys.executable))
    if found is None:
        print("newer versions: the package index cannot be asked")
        return
    listed = "".join(f"\n  {one.name} {one.version}, newest {one.newest}" for one in found)
    print(f"newer versions: the package index has one of {len(found)} packages of the build environment{listed}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.audit", description="Known vulnerabilities of what is pinned."
    )
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi", help="the database (default: pypi)")
    return parser


if __name__ == "__main__":
    sys.exit(ended(run_audit, sys.argv[1:]))
