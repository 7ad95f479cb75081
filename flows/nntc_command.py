"""The command line of a build by tpu-nntc."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from flows.command import WRONG_USAGE, add_settings, builds_with, carried_out, in_prefect, settings_of
from flows.nntc_folder import EVIDENCE, check_folder
from flows.preflight import prepare
from settings.model import Settings


def run_build_nntc(argv: Sequence[str]) -> int:
    """Run the build by tpu-nntc as a command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 the bmodels are made, and nothing is published; 1 failed, 2 wrong usage, 128 + its number when a signal
        stopped it.
    """
    settings = settings_of(_parser().parse_args(argv))
    if settings is None or not builds_with(settings, "tpu-nntc"):
        return WRONG_USAGE
    return carried_out("build", settings, lambda received: _build(settings, received))


def _build(settings: Settings, received: list[int]) -> None:
    workspace = prepare(settings, toolchain="tpu-nntc")
    check_folder(settings, workspace)

    def work(started: Callable[[str], object]) -> Path:
        from flows.build_nntc import build_nntc
        from flows.engine import announcing

        return announcing(build_nntc, started)(settings)

    _tell(in_prefect(workspace, received, work))


def _tell(folder: Path) -> None:
    found = json.loads((folder / EVIDENCE).read_text())
    print()
    for model in found["models"]:
        print(f"made     {folder / model['file']}")
        for remark in model["remarks"]:
            print(f"         {remark}")
    print(f"evidence {folder / EVIDENCE}\n\n{found['why']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.build_nntc",
        description="Compile and quantize with tpu-nntc, which has to be on this machine; keep the bmodels with their "
        "evidence, and publish nothing, since no accuracy is measured.",
    )
    add_settings(parser)
    return parser
