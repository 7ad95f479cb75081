"""A command that reaches its time limit in a build: once may be a busy machine, twice is told."""

from __future__ import annotations

import threading

import pytest

from tests.flows.conftest import Run
from tests.flows.tiny import TinyBuild, wait_until

LIMIT = ("--set", "toolchain.timeouts.transform=3")


def transforms(build: TinyBuild) -> int:
    return sum(call.startswith("model_transform") for call in build.calls())


def test_a_command_that_hangs_once_costs_its_limit_and_no_build(run: Run, tiny: TinyBuild) -> None:
    tiny.switch("hold", "model_transform")

    def release() -> None:
        wait_until(lambda: transforms(tiny) >= 3)  # of both batches, and one again
        tiny.switch("hold", None)

    threading.Thread(target=release, daemon=True).start()
    assert run(tiny, *LIMIT) == 0
    assert 3 <= transforms(tiny) <= 4


def test_a_command_that_hangs_twice_ends_the_build_with_its_log(
    run: Run, tiny: TinyBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.switch("hold", "model_transform")
    assert run(tiny, *LIMIT) == 1
    said = capsys.readouterr().err
    assert "model_transform was still running after 3 s and was ended. It hung, or this machine is slower" in said
    assert "toolchain.timeouts" in said and list(tiny.workspace.logs.glob("*.log"))
    assert transforms(tiny) in (2, 3, 4)  # the other batch may not have begun, or have been tried again too
