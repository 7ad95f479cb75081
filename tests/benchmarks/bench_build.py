"""Build time, beside the vendor's sequence of commands.

The 13 variants of the `sample` profile that take floats, and its 200 calibration images, from an empty store, the
compiler being installed, and nothing else running. *Scripts* is the sequence of the vendor's own scripts
(tests/benchmarks/sequence.py tells what it runs); *each once* the same commands without their repetitions, their
check on one image and the tuning pass, which is the least that a shell script can do. Both run with the compiler's
defaults. *Whole build* does more than either: it curates, measures every precision on 64 images in the interpreter,
runs the bmodels in the simulator, draws the report, publishes. *Compiles* is our flow without that (one evaluation
image, no simulator), which compares with *each once*.
"""

from __future__ import annotations

import re
from pathlib import Path

from artifacts.bmodel import content_digest
from artifacts.release import Variant
from settings.load import load_settings
from settings.sections import ToolchainSettings
from tasks.toolchain.provision import cache_root, provision
from tests.benchmarks import sequence, whole
from tests.benchmarks.page import Section

COMPILES = {"evaluation.limit": 1, "simulator.images": 0, "evaluation.meaningful": "false"}

# The sample's matrix without what the vendor's scripts know nothing of: models for raw pixels.
PROFILE = """
extends = "sample"
matrix = [
  {chip = "BM1684X", precisions = ["fp32", "fp16", "int8"]},
  {chip = "BM1684X", precisions = ["int8"], batches = [4]},
  {chip = "BM1684", precisions = ["fp32", "int8"]},
  {chip = "BM1684", precisions = ["int8"], batches = [4]},
  {chip = "BM1688", precisions = ["fp32", "fp16"]},
  {chip = "BM1688", precisions = ["int8"], batches = [1, 4], cores = [1, 2]},
]
"""

WAITS = {
    "import": ("trace",),
    "calibrate": ("import b1", "check calibration set"),
    "lower": ("import b1",),
    "compile": ("import b1",),
    "evaluate": ("evaluate torchscript",),
    "simulate": ("evaluate torchscript",),
    "loss": ("evaluate torchscript",),
}


def bench_build(section: Section, tmp_path: Path) -> None:
    profile = tmp_path / "float.toml"
    profile.write_text(PROFILE)
    settings = load_settings(str(profile), environ={})
    spec, variants = settings.preprocess.spec(), settings.variants()
    toolchain = provision(ToolchainSettings().version, root=cache_root())
    shape = (3, spec.height, spec.width)

    ours = whole.build(tmp_path / "whole", {}, str(profile))
    scripts = sequence.run(
        sequence.as_the_scripts(variants, shape), tmp_path / "whole", tmp_path / "scripts", toolchain, spec
    )
    compiles = whole.build(tmp_path / "compiles", COMPILES, str(profile))
    once = sequence.run(sequence.each_once(variants, shape), tmp_path / "whole", tmp_path / "once", toolchain, spec)

    script_s, once_s = (sum(one.took.seconds for one in ran) for ran in (scripts, once))
    rows = []
    for name, seconds, cpu_s, commands in (
        ("scripts", script_s, sum(one.took.cpu_s for one in scripts), len(scripts)),
        ("each once", once_s, sum(one.took.cpu_s for one in once), len(once)),
        ("**whole build**", ours.seconds, ours.cpu_s, ""),
        ("**compiles**", compiles.seconds, compiles.cpu_s, ""),
    ):
        ratios = [f"{seconds / other:.2f}" for other in (script_s, once_s)]
        rows.append((name, f"{seconds:.0f}", f"{cpu_s:.0f}", commands, *ratios))
    section.table(("", "wall s", "processor s", "commands", "of *scripts*", "of *each once*"), rows)
    section.say(_equal(tmp_path, variants))
    section.say("Seconds by command, the sequences in turn, our steps two at a time:")
    kinds = ("model_transform", "run_calibration", "model_deploy")
    table = [
        (name, *(f"{sum(one.took.seconds for one in ran if one.tool == kind):.0f}" for kind in kinds))
        for name, ran in (("scripts", scripts), ("each once", once))
    ]
    for name in ("whole", "compiles"):
        table.append((name, *_by_kind(whole.steps(tmp_path / name))))
    section.table(("", "import", "calibration", "compiles"), table)
    _story(section, whole.steps(tmp_path / "whole"), ours)
    _story(section, whole.steps(tmp_path / "compiles"), compiles)


def _by_kind(steps: list[whole.Step]) -> tuple[str, ...]:
    """Seconds of the steps that run the same commands; lowering is part of a compile."""
    kinds = (("import",), ("calibrate",), ("lower", "compile"))
    return tuple(f"{sum(one.seconds for one in steps if one.slot.split()[0] in kind):.0f}" for kind in kinds)


def _equal(folder: Path, variants: tuple[Variant, ...]) -> str:
    ours, again = (
        {Variant.model_validate(one["variant"]).path: one["content_digest"] for one in _compiled(folder / name)}
        for name in ("whole", "compiles")
    )
    equal = {"compiles": sum(again[path] == digest for path, digest in ours.items())}
    for name in ("once", "scripts"):
        made = {path: content_digest(folder / name / path.replace("/", "__")) for path in ours}
        equal[name] = sum(made[path] == digest for path, digest in ours.items())
    return (
        f"Of the {len(variants)} bmodels of the whole build, as many have the same content digest: in *compiles* "
        f"{equal['compiles']}, in *each once* {equal['once']}, in *scripts* {equal['scripts']}. Where they differ: we "
        "set float16 weights of the heads below 2^-14 to zero (int8 of BM1684X and BM1688), and in *scripts* the "
        "tuning pass moved thresholds."
    )


def _compiled(folder: Path) -> list[dict[str, object]]:
    return whole.records(folder, "compile_variant")


def _story(section: Section, steps: list[whole.Step], took: whole.Took) -> None:
    """Tell what the end of a build waited for, and how busy the cores were."""
    path = _critical(steps)
    before = steps and took.seconds - max(one.end_s for one in steps)
    section.say(
        f"In {took.seconds:.0f} s both cores worked {100 * took.busy:.0f} % of the time. Before and after the steps "
        f"{before:.0f} s went to starting Python, Prefect and its server, and to publishing. The longest chain of "
        f"steps that need each other takes {sum(one.seconds for one in path):.0f} s: "
        + " → ".join(f"{one.slot} ({one.seconds:.0f})" for one in path)
        + "."
    )


def _critical(steps: list[whole.Step]) -> list[whole.Step]:
    """The chain of steps, each needing the one before, that takes longest with no limit to how many run at once."""
    by_slot = {one.slot: one for one in steps}
    longest: dict[str, list[whole.Step]] = {}

    def chain(slot: str) -> list[whole.Step]:
        if slot not in longest:
            needed = [chain(other) for other in _needs(slot, by_slot)]
            best = max(needed, key=lambda found: sum(one.seconds for one in found), default=[])
            longest[slot] = [*best, by_slot[slot]]
        return longest[slot]

    return max((chain(slot) for slot in by_slot), key=lambda found: sum(one.seconds for one in found), default=[])


def _needs(slot: str, known: dict[str, whole.Step]) -> list[str]:
    """Which slots a slot's inputs come from."""
    kind, _, what = slot.partition(" ")
    chip, _, rest = what.replace("/", " ").partition(" ")
    precision = re.search(r"(fp32|fp16|int8)", rest)
    needs = list(WAITS.get(kind, ()))
    if precision and precision[1] == "int8" and kind in ("lower", "compile"):
        needs.append("calibrate")
    rung = f"{chip} {precision[1]}" if precision else ""
    needs += {
        "evaluate": [f"lower {rung}"],
        "golden": [f"lower {rung}"],
        "loss": [f"evaluate {rung}"],
        "simulate": [f"compile {what}", f"evaluate {rung}"],
        "gate": [other for other in known if other.split()[0] in ("simulate", "loss", "compile")],
        "report": ["gate", "check calibration"],
        "check": ["curate" if what.endswith(" set") else "calibrate"],
        "curate": [other for other in known if other.startswith("draw")],
    }.get(kind, [])
    return [other for other in needs if other in known and other != slot]
