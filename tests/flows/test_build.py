"""Whole builds: real steps, real processes, a stand-in for the compiler."""

from __future__ import annotations

import pytest

from artifacts import layout
from tasks.journal import Outcome
from tests.flows.conftest import Run
from tests.flows.tiny import TinyBuild

Capture = pytest.CaptureFixture[str]

FP32, INT8 = "BM1688/centernet_fp32_1b.bmodel", "BM1684X/centernet_int8_4b.bmodel"
STEPS = {
    *("trace", "draw evaluation scenes", "draw calibration scenes", "curate", "import b1", "import b4", "calibrate"),
    *("evaluate pytorch", "evaluate torchscript", "gate", "draw golden scenes", "report"),
    *("check calibration set", "check calibration"),
    *(f"{verb} {rung}" for verb in ("lower", "evaluate", "loss", "golden") for rung in ("BM1688 fp32", "BM1684X int8")),
    *(f"{verb} {path}" for verb in ("compile", "simulate") for path in (FP32, INT8)),
}


def test_a_build_makes_every_step_once_and_publishes(finished: TinyBuild) -> None:
    assert finished.made() == STEPS
    assert len(finished.calls()) == 2 + 1 + 2 + 2  # imports, calibration, lowered, compiled
    assert layout.check(finished.folder / "registry") == []
    found = {variant.variant.path: variant for variant in finished.release.variants}
    assert set(found) == {FP32, INT8}
    assert all(one.simulator and one.simulator.identical and one.gate and one.gate.passed for one in found.values())
    assert found[INT8].simulator.images == 2 and found[INT8].inputs[0].shape == (4, 3, 64, 64)  # type: ignore[union-attr]
    assert list((finished.folder / "store" / "scratch").iterdir()) == []
    assert list(finished.workspace.logs.iterdir()) == []


def test_a_second_build_starts_no_compiler_and_publishes_nothing(run: Run, again: TinyBuild, capsys: Capture) -> None:
    digest = again.digest
    assert run(again, "--explain", "--set", "workers=1", "--set", "toolchain.timeouts.deploy=99") == 0
    shown = capsys.readouterr()
    assert again.made() == set() and again.calls() == [] and again.digest == digest
    assert shown.out.count("nothing changed") == len(STEPS) == shown.out.count("hit  ")
    assert "was published already, nothing is new" in shown.out


def test_another_threshold_judges_again_and_nothing_else(run: Run, again: TinyBuild, capsys: Capture) -> None:
    digest = again.digest
    assert run(again, "--explain", "--set", "gate.max_ap_drop=0.05") == 0
    assert again.made() == {"gate"} and again.calls() == [] and again.digest == digest
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("made")]
    assert line.split() == ["made", "gate", "changed:", "thresholds.max_ap_drop"]


def test_a_lost_bmodel_is_compiled_again_and_nothing_else(run: Run, again: TinyBuild) -> None:
    digest = again.digest
    (lost,) = [one.blob for one in again.release.variants if one.variant.path == INT8]
    again.workspace.content.path(lost).unlink()
    assert run(again) == 0
    assert again.made() == {f"compile {INT8}"} and again.entries()[f"compile {INT8}"].damaged == (lost.digest,)
    assert len(again.calls()) == 1 and again.digest == digest


def test_raw_pixels_are_one_more_compile_and_measured_as_the_same_network(run: Run, again: TinyBuild) -> None:
    raw = "BM1684X/centernet_int8_4b_raw.bmodel"
    row = "{chip='BM1684X', precisions=['int8'], batches=[4], io=['float', 'raw']}"
    assert run(again, "--set", f"matrix=[{{chip='BM1688', precisions=['fp32']}}, {row}]") == 0
    assert again.made() == {f"compile {raw}", f"simulate {raw}", "gate", "report"}
    found = {one.variant.path: one for one in again.release.variants}
    assert (found[raw].inputs[0].dtype, found[raw].outputs[0].dtype) == ("uint8", "float16")
    assert found[raw].accuracy == found[INT8].accuracy and found[raw].distances == found[INT8].distances
    assert found[raw].simulator and found[raw].simulator.identical and found[raw].inputs[0].shape == (4, 3, 64, 64)


def test_options_that_make_a_bmodel_faster_are_given_when_the_settings_say_so(run: Run, again: TinyBuild) -> None:
    matrix = "matrix=[{chip='BM1688', precisions=['int8']}]"
    compile_ = "compile BM1688/centernet_int8_1b.bmodel"
    assert run(again, "--set", matrix) == 0
    assert not [call for call in again.calls() if "--compress_mode" in call]
    assert run(again, "--explain", "--set", matrix, "--set", "toolchain.tuned=true") == 0
    assert compile_ in again.made() and "--compress_mode all" in again.calls()[-1]
    assert "options.length" in again.entries()[compile_].changed


def test_a_variant_that_the_settings_keep_from_the_simulator_is_no_step(
    run: Run, again: TinyBuild, capsys: Capture
) -> None:
    assert run(again, "--set", f'simulator.skip=["{INT8.removesuffix(".bmodel")}"]') == 0
    assert set(again.entries()) == STEPS - {f"simulate {INT8}"} and again.calls() == []
    assert f"simulate {INT8}" not in capsys.readouterr().err
    assert {one.variant.path: one.simulator is None for one in again.release.variants} == {FP32: False, INT8: True}


def test_a_calibration_that_fails_its_preflight_stops_before_the_compiler_has_it(
    run: Run, again: TinyBuild, capsys: Capture
) -> None:
    one_image = ("--set", "calibration.count=1")
    assert run(again, *one_image, "--set", "calibration.missing_classes=fail") == 1
    shown = capsys.readouterr().err
    assert "The calibration is refused, because this does not hold: every class of the evaluation set is shown" in shown
    assert "Traceback" not in shown and again.calls() == []
    assert run(again, *one_image) == 0
    assert "every class of the evaluation set is shown: warning: " in capsys.readouterr().err
    report = (again.folder / "report.md").read_text()
    assert "| every class of the evaluation set is shown | warning |" in report
    assert "| the compiler used every image | passed | images: 1; samples by the compiler's own count: 1 |" in report


def test_a_variant_that_fails_the_gate_keeps_everything_from_being_published(
    run: Run, again: TinyBuild, capsys: Capture
) -> None:
    digest, kept = again.digest, again.folder / "not-published"
    kept.mkdir()
    (kept / "of an earlier build.bmodel").touch()
    (kept / "notes.txt").touch()
    again.switch("spoil", "--chip bm1684x")
    assert run(again, "--set", "calibration.seed=5") == 1  # calibrated anew, so lowered and measured anew
    shown = capsys.readouterr()
    assert "The build failed. 1 variant did not pass the gate, so nothing was published." in shown.err
    assert f"{INT8}: cosine of size is 0.00000, below 0.9" in shown.err
    assert "Traceback" not in shown.err and str(kept) in shown.err
    assert again.digest == digest and layout.check(again.folder / "registry") == []
    assert sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*.bmodel")) == [INT8, FP32]
    assert (kept / "notes.txt").is_file()
    assert "## Not passed" in (again.folder / "report.md").read_text()
    assert "1 of 2 variants did not pass the gate" in (again.folder / "report.html").read_text()


RECALIBRATED = ("--set", "calibration.seed=5")  # so that it is lowered and measured anew
OTHER_RANGES = ("--set", "quantize.escalation=[{method='max'}, {method='percentile9999'}, {float_layers=['heads']}]")


def test_int8_that_loses_too_much_is_made_another_way(run: Run, again: TinyBuild, capsys: Capture) -> None:
    again.switch("spoil", "--chip bm1684x .* by (kl|max)")
    assert run(again, *RECALIBRATED, *OTHER_RANGES) == 0
    shown = capsys.readouterr().err
    assert "BM1684X int8 is not good enough: cosine of size is 0.00000, below 0.9" in shown
    assert "BM1684X int8, method max: cosine of size is 0.00000" in shown
    assert "BM1684X int8, method percentile9999: good enough" in shown
    (made,) = [one for one in again.release.variants if one.variant.path == INT8]
    assert made.quantization and made.quantization.method == "percentile9999"
    assert made.quantization.float_layers == ("heads", "hm", "wh", "reg") and made.gate and made.gate.passed
    way = "(method percentile9999)"
    assert {f"compile {INT8} {way}", f"simulate {INT8} {way}", f"golden BM1684X int8 {way}"} <= again.made()
    report = (again.folder / "report.md").read_text()
    assert report.count("| BM1684X | ") == 3 and "| method percentile9999 |" in report and "| chosen |" in report
    assert "<h2>Ways to make int8</h2>" in (again.folder / "report.html").read_text()


def test_what_was_tried_once_is_not_tried_again(run: Run, again: TinyBuild) -> None:
    again.switch("spoil", "--chip bm1684x .* by kl")
    assert run(again, *RECALIBRATED, *OTHER_RANGES) == 0
    digest, calls = again.digest, len(again.calls())
    assert run(again, *RECALIBRATED, *OTHER_RANGES) == 0
    assert again.made() == set() and len(again.calls()) == calls and again.digest == digest


def test_layers_are_kept_in_float_where_other_ranges_do_not_help(run: Run, again: TinyBuild, capsys: Capture) -> None:
    again.switch("spoil", "--chip bm1684x .*, in float: $")
    escalation = "quantize.escalation=[{method='max'}, {most_sensitive=2}]"
    assert run(again, *RECALIBRATED, "--set", "quantize.float_tail=false", "--set", escalation) == 0
    assert "4 sensitive layers in float: good enough" in capsys.readouterr().err
    (made,) = [one for one in again.release.variants if one.variant.path == INT8]
    assert made.quantization and made.quantization.float_layers == ("hm", "wh", "reg", "heads")
    assert "sensitivity BM1684X int8" in again.made()
    assert "| image | Input | +0.0% | -100.0% | +0.0% | hm, wh, reg | yes |" in (again.folder / "report.md").read_text()


def test_where_no_way_is_good_enough_nothing_is_published_and_the_report_names_them(
    run: Run, again: TinyBuild, capsys: Capture
) -> None:
    digest = again.digest
    again.switch("spoil", "--chip bm1684x")
    again.switch("fail", "run_calibration .* mse")
    escalation = "quantize.escalation=[{method='mse'}, {float_layers=['heads'], method='max'}]"
    assert run(again, *RECALIBRATED, "--set", escalation) == 1
    assert again.digest == digest and "BM1684X int8: none of 3 ways is good enough" in capsys.readouterr().err
    report = (again.folder / "report.md").read_text()
    assert report.count("| BM1684X | ") == 3 and "| chosen |" not in report
    assert "the compiler does not take it: calibrate mse 4: run_calibration exited with status 3" in report


def test_without_an_escalation_nothing_else_is_tried(run: Run, again: TinyBuild) -> None:
    again.switch("spoil", "--chip bm1684x")
    assert run(again, *RECALIBRATED) == 1
    assert "Ways to make int8" not in (again.folder / "report.md").read_text()


@pytest.mark.parametrize(
    ("switch", "pattern", "message"),
    [
        ("fail", "run_calibration", "calibrate kl 4: run_calibration exited with status 3"),
        ("fail", r"model_transform .*\[\[4,", "transform b4: model_transform exited with status 3"),
        ("leave-nothing", "bm1684x .*--enable_lghash", f"deploy {INT8}: model_deploy exited with status 0 but left no"),
    ],
)
def test_a_step_that_fails_says_so_itself_and_what_others_finished_is_kept(
    switch: str, pattern: str, message: str, run: Run, again: TinyBuild, capsys: Capture
) -> None:
    again.switch(switch, pattern)
    changed = ("--set", "calibration.seed=5", "--set", "toolchain.omp_threads=3")
    assert run(again, *changed) == 1
    shown = capsys.readouterr()
    (paragraph,) = [line for line in shown.err.splitlines() if line.startswith("The build failed.")]
    assert message in paragraph and "Log: " in paragraph
    assert "Traceback" not in shown.err and "NotReady" not in shown.err and "Unfinished" not in shown.err
    logs = [log for log in again.workspace.logs.glob("*.log") if str(log) in paragraph]
    assert len(logs) == 1 and "stand-in: " in logs[0].read_text()
    finished = {slot for slot, entry in again.entries().items() if entry.outcome is Outcome.MADE}
    assert "curate" in finished
    again.switch(switch, None)
    assert run(again, *changed) == 0
    assert not again.made() & finished
