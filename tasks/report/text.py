"""The build's report: what was made, how near it is to the original, and what it took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from artifacts.protocols import Limits
from settings.model import Settings
from tasks.judgement import Verdict
from tasks.ladder.ladder import Ladder, of_build
from tasks.ladder.text import DEMONSTRATION, HEADING, cells, legend, number
from tasks.markdown import escaped, table
from tasks.measurements import measurements
from tasks.publish import METRIC, Results
from tasks.records import Compiled, Evidence, Measured, Record, Simulated
from tasks.report.ways import TENSORS_HEADING, WAYS_ABOUT, WAYS_HEADING, about_tensors, tensor_rows, way_rows

STAND_IN = "The weights are a stand-in, so that accuracy means nothing here; it is neither printed nor judged."

VARIANT_HEADING = (
    "file",
    "size MB",
    "device memory MB",
    "estimated ms",
    "cosine heatmap / size / offset",
    "AP",
    "simulator",
    "gate",
)
CHECK_HEADING = ("check", "outcome", "facts")


class About(Record):
    """What a report says of a build beside what it found out.

    Attributes:
        name: Of the release.
        profile: What the settings were read from.
        demonstration: Whether its numbers say nothing about the real thing.
        meaningful: Whether accuracy says anything.
        compiler: Name and version of the toolchain.
        network: Architecture, width and input.
        protocol: How accuracy was measured.
    """

    name: str
    profile: str
    demonstration: bool
    meaningful: bool
    compiler: str
    network: str
    protocol: Limits


def about(settings: Settings, compiler: str) -> About:
    """Collect what a report says of a build.

    Args:
        settings: What it was told.
        compiler: Name and version of the toolchain.
    """
    network, size = settings.network, settings.preprocess
    return About(
        name=settings.release.name,
        profile=settings.profile,
        demonstration=settings.demonstration,
        meaningful=settings.evaluation.meaningful,
        compiler=compiler,
        network=f"{network.name} x{network.width:g}, {size.width} x {size.height}",
        protocol=settings.evaluation.protocol.limits,
    )


def markdown(results: Results, settings: Settings, compiler: str) -> str:
    """Write the report that goes into the release; equal builds give equal reports, so no time is in it.

    Args:
        results: What the build found out.
        settings: What it was told.
        compiler: Name and version of the toolchain.

    Returns:
        Markdown.
    """
    build = about(settings, compiler)
    lines = [f"# {build.name}, profile {escaped(build.profile)}", ""]
    for notice in notices(build):
        lines += [f"**{notice}**", ""]
    lines += [*(f"- {term}: {text}" for term, text in notes(results, build)), "", "## Variants", ""]
    lines += [*table(VARIANT_HEADING, variant_rows(results)), "", "## Loss ladder", "", *table(*ladder(results)), ""]
    lines += list(_ways(results))
    if results.checks:
        lines += ["## Calibration preflight", "", *table(CHECK_HEADING, _escaped_rows(check_rows(results))), ""]
    failures = failed(results.verdicts)
    if failures:
        lines += ["## Not passed", "", *(_failure(results, verdict) for verdict in failures), ""]
    return "\n".join(lines)


def _ways(results: Results) -> Iterator[str]:
    if not results.attempts:
        return
    yield from ("## Ways to make int8", "", WAYS_ABOUT, "")
    yield from (*table(WAYS_HEADING, way_rows(results)), "")
    for sensitivity in results.sensitivities:
        yield from (about_tensors(sensitivity), "")
        yield from (*table(TENSORS_HEADING, tensor_rows(sensitivity, results.attempts)), "")


def variant_rows(results: Results) -> list[tuple[str, ...]]:
    """Return one row of text a bmodel, in the order of the columns of the report."""
    rows = zip(results.compiled, results.verdicts, strict=True)
    return [_variant_row(one, results.rung(one), results.simulation(one), verdict) for one, verdict in rows]


def ladder(results: Results) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return heading and rows of the loss ladder: every rung with what it loses."""
    return HEADING, [cells(row) for row in rungs_of(results).rows]


def rungs_of(results: Results) -> Ladder:
    """Return the loss ladder of a build."""
    return of_build(measurements(results), [one.variant for one in results.compiled])


def check_rows(results: Results) -> list[tuple[str, ...]]:
    """Return one row of text for each thing that was checked of the calibration."""
    return [(check.name, check.outcome, check.detail) for check in results.checks]


def outcome(verdict: Verdict) -> str:
    """Return the gate's word on a variant."""
    return "passed" if verdict.passed else "more images" if verdict.undecided else "FAILED"


def failed(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the verdicts that keep the release from being published."""
    return [verdict for verdict in verdicts if not verdict.passed]


def timings(evidence: Sequence[tuple[str, Evidence]]) -> list[str]:
    """Write what each compiler command took when it ran, longest first; of what was cached, when it was made."""
    ordered = sorted(evidence, key=lambda item: -item[1].seconds)
    rows = [(name, f"{one.seconds:.1f}", one.log.digest) for name, one in ordered]
    return ["## Compiler commands", "", *table(("step", "seconds", "log"), rows), ""]


def notices(build: About) -> list[str]:
    """Return what has to be said before any number is shown."""
    return [*([DEMONSTRATION] if build.demonstration else []), *([] if build.meaningful else [STAND_IN])]


def notes(results: Results, build: About) -> Iterator[tuple[str, str]]:
    """Yield what the columns mean and what they were measured on: term and text."""
    yield (
        "Compiler",
        f"{build.compiler}. Estimated ms: the compiler's own estimate for one run of the whole batch, not measured on "
        "a device.",
    )
    yield (
        "Cosine",
        "each head of the output in the compiler's interpreter against the TorchScript, over "
        f"{results.measured[0].distance_images} images.",
    )
    if results.reference.ap is not None:
        protocol = build.protocol
        yield (
            "AP",
            f"{METRIC}, {results.reference.images} images, protocol {protocol.name} (score >= "
            f"{protocol.score_floor:g}, best {protocol.top_k}), in the interpreter.",
        )
    yield "Loss ladder", legend(rungs_of(results).rows)
    yield "Simulator", "the very bmodel against the interpreter's output."
    if results.table is not None:
        another = " Where another way was chosen, its method is named with it." if results.attempts else ""
        yield "Calibration", f"{results.table.images} images, method {results.table.method}.{another}"


def _failure(results: Results, verdict: Verdict) -> str:
    compiled = next(one for one in results.compiled if one.variant == verdict.variant)
    worst = ", ".join(map(escaped, results.rung(compiled).worst)) or "none"
    return f"- {verdict.variant.path}: {'; '.join(verdict.reasons)}. Images that lose most: {worst}."


def _variant_row(
    compiled: Compiled, measured: Measured, simulated: Simulated | None, verdict: Verdict
) -> tuple[str, ...]:
    return (
        compiled.variant.path,
        f"{compiled.bmodel.size / 1e6:.2f}",
        f"{compiled.device_memory / 1e6:.2f}",
        "-" if compiled.estimated_ms is None else f"{compiled.estimated_ms:.3f}",
        " / ".join(f"{far.cosine:.4f}" for far in measured.distances.values()),
        number(measured.ap),
        _simulator(simulated),
        outcome(verdict),
    )


def _simulator(simulated: Simulated | None) -> str:
    if simulated is None:
        return "not run"
    return "bit-identical" if simulated.identical else f"within {simulated.max_abs:.2g}"


def _escaped_rows(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    return [tuple(map(escaped, row)) for row in rows]
