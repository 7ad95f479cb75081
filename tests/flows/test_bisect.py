"""The search for the compiler that made something worse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flows.bisect_command import only, run_bisect
from settings.load import load_settings
from tasks.errors import IndexUnreachable
from tests.flows.compilers import INT8, Compilers, replaced
from tests.flows.tiny import TinyBuild

Capture = pytest.CaptureFixture[str]
Bisect = Callable[..., int]
FILE = INT8.removesuffix(".bmodel")


@pytest.fixture
def compilers(again: TinyBuild, monkeypatch: pytest.MonkeyPatch) -> Compilers:
    """1.30.2, of which everything is stored, and later ones: the last two degrade the int8 of BM1684X."""
    compilers = Compilers(again)
    compilers.offered += ["1.31.0", "1.32.0", "1.33.0"]
    for version in compilers.offered[2:]:
        compilers.switch(version, "wear")
    replaced(compilers, monkeypatch)
    return compilers


@pytest.fixture
def bisect(compilers: Compilers) -> Bisect:
    """Runs the search over all that is offered, with further arguments."""
    first, last = compilers.offered[0], compilers.offered[-1]
    profile = ["--profile", str(compilers.build.profile)]
    return lambda *arguments: run_bisect([*profile, "--good", first, "--bad", last, *arguments])


def test_the_first_bad_one_is_found_and_nothing_is_published(
    bisect: Bisect, compilers: Compilers, capsys: Capture
) -> None:
    tags, release = compilers.tags, compilers.build.release
    assert bisect("--variant", FILE) == 0
    shown = capsys.readouterr()
    told, answer = shown.out.split("1.32.0 is the first compiler that is worse than 1.30.2:")
    assert "BM1684X int8: cosine of " in answer and "1.31.0  good" in told and "1.33.0  bad" in told
    assert "1.31.0: good, none of " in shown.err and "1.32.0: bad: BM1684X int8" in shown.err
    assert "BM1688" not in shown.err and compilers.tags == tags and compilers.build.release == release


def test_one_that_cannot_be_tried_is_among_the_candidates(
    bisect: Bisect, compilers: Compilers, capsys: Capture
) -> None:
    compilers.broken.add("1.31.0")
    compilers.switch("1.32.0", "fail")
    assert bisect("--variant", FILE) == 1
    shown = capsys.readouterr().out
    assert "1.31.0  skipped\n    tpu-mlir 1.31.0 could not be installed" in shown
    assert "1.33.0 is worse; it began there or in 1.31.0, 1.32.0, which could not be tried." in shown


def test_where_nothing_got_worse_there_is_nothing_to_find(bisect: Bisect, capsys: Capture) -> None:
    assert bisect("--variant", FILE, "--measure", "latency", "--measure", "size") == 1
    shown = capsys.readouterr().err
    assert "The bisect failed. Compiler 1.33.0 is not worse than 1.30.2" in shown and "Traceback" not in shown


def test_an_end_of_the_row_that_does_not_work_is_an_error(
    bisect: Bisect, compilers: Compilers, capsys: Capture
) -> None:
    compilers.broken.add("1.33.0")
    assert bisect() == 1
    assert "The bisect failed. tpu-mlir 1.33.0 could not be installed" in capsys.readouterr().err


def test_an_index_that_does_not_answer_is_an_error(
    bisect: Bisect, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def unreachable(*_: str) -> tuple[str, ...]:
        raise IndexUnreachable("Connection refused")

    monkeypatch.setattr("tasks.toolchain.releases.between", unreachable)
    assert bisect() == 1
    assert "The bisect failed. The package index could not be asked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--good", "1.30.2", "--bad", "1.28.1"], "--bad 1.28.1 is not newer than --good 1.30.2"),
        (["--good", "1.30.2", "--bad", "newest"], "'newest'; a version is written such as 1.30.2"),
        (["--good", "1.28.1", "--bad", "1.30.2", "--measure", "speed"], "invalid choice: 'speed'"),
        (["--bad", "1.30.2"], "--good"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_wrong_usage(arguments: list[str], told: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        run_bisect(arguments)
    assert caught.value.code == 2 and told in capsys.readouterr().err


def test_a_variant_that_the_profile_does_not_have_is_wrong_usage(capsys: Capture) -> None:
    assert run_bisect(["--good", "1.28.1", "--bad", "1.30.2", "--variant", "BM1684X/centernet_int9_4b"]) == 2
    shown = capsys.readouterr().err
    assert "no variant is named so: BM1684X/centernet_int9_4b; this profile has BM1684/centernet_fp32_1b, " in shown


def test_only_the_variants_that_are_named_are_built_and_none_is_simulated() -> None:
    settings = load_settings("sample", environ={})
    reduced = only(settings, ["BM1688/*_2core", "BM1684/centernet_fp32_1b"])
    assert reduced is not None and reduced.simulator.images == 0
    assert [f"{one.chip}/{one.stem}" for one in reduced.variants()] == [
        "BM1684/centernet_fp32_1b",
        "BM1688/centernet_int8_1b_2core",
        "BM1688/centernet_int8_4b_2core",
    ]
    everything = only(settings, [])
    assert everything is not None and everything.variants() == settings.variants()
    assert only(settings, ["BM1688/*", "nothing"]) is None
