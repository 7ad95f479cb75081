"""Whether the release of a new compiler may take the place of the last good one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from artifacts.release import ReleaseRecord
from settings.operations import MarginSettings
from tasks.verdict.figures import MEASURES, Key, Measure, Side, figures

# Beyond this a head differs from the original by less than one part in ten thousand, a fraction of a float16 step.
# Fp32 lies far above, where another order of summation alone moves the ratio by decibels.
CLEAN_DB = 80.0

_NOISE = 1e-9
_TOLD_OF_ONE = 3


class Difference(BaseModel):
    """One figure in two releases.

    Attributes:
        key: What it is of.
        old: In the last good release.
        new: In the new one; None where it was not measured.
        margin: How much worse it may be: a difference, for latency, size and memory a factor.
        worse: Whether it is worse by more than that, or is missing now.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Key
    old: float
    new: float | None
    margin: float
    worse: bool

    @property
    def excess(self) -> float:
        """How far it is beyond its margin, for sorting: 1 is just at it, infinite where nothing is allowed."""
        if self.new is None:
            return float("inf")
        if _is_factor(self.key.measure):
            lost, allowed = self.new - self.old, self.old * (self.margin - 1)
        else:
            lost, allowed = self.old - self.new, self.margin
        return lost / allowed if allowed > 0 else float("inf")


class Named(BaseModel):
    """A release, by name.

    Attributes:
        version: Its version.
        compiler: What made it, name and version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    compiler: str


class Comparison(BaseModel):
    """Two releases side by side.

    Attributes:
        good: The last good one.
        new: The one that may take its place.
        obstacles: Why they cannot be compared, or not wholly.
        notes: What to know of the comparison.
        differences: All figures of the good release, ordered by measure, beside those of the new one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    good: Named
    new: Named
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def worse(self) -> tuple[Difference, ...]:
        """What got worse: by measure, and there the furthest beyond its margin first."""
        found = [one for one in self.differences if one.worse]
        return tuple(sorted(found, key=lambda one: (MEASURES.index(one.key.measure), -one.excess, one.key.order)))

    @property
    def held(self) -> bool:
        """Whether the new release may not take the good one's place."""
        return bool(self.obstacles or self.worse)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is held: obstacles, and one line a subject with what got worse there; empty where it is not."""
        subjects = dict.fromkeys(one.key.subject for one in self.worse)
        return (*self.obstacles, *(self._reason(subject) for subject in subjects))

    def _reason(self, subject: str) -> str:
        found = [one for one in self.worse if one.key.subject == subject]
        more = f", and {len(found) - _TOLD_OF_ONE} more" if len(found) > _TOLD_OF_ONE else ""
        return f"{subject}: {'; '.join(map(told, found[:_TOLD_OF_ONE]))}{more}"


def compare(good: Side, new: Side, margins: MarginSettings, measures: Sequence[Measure] = MEASURES) -> Comparison:
    """Compare the release of a new compiler with the last good one.

    Args:
        good: The last good release.
        new: The other one.
        margins: How much worse each figure may be.
        measures: What is looked at.

    Returns:
        Every figure of both. Figures of other weights, images or input are not put side by side at all. What the good
        release has and the new one lacks counts as worse.
    """
    obstacles = tuple(_disagreements(good.record, new.record))
    found: tuple[Difference, ...] = ()
    notes = tuple(_notes(good, new))
    if not obstacles:
        if good.measurements is None or new.measurements is None:
            good, new = Side(good.record, None), Side(new.record, None)
        found = tuple(_differences(figures(good), figures(new), margins, measures))
        obstacles = tuple(_missing(good.record, new.record))
    return Comparison(
        good=_named(good.record), new=_named(new.record), obstacles=obstacles, notes=notes, differences=found
    )


def told(one: Difference) -> str:
    """Say in a few words what became of a figure."""
    what = MEASURE_WORDS[one.key.measure] + (f" of {one.key.detail}" if one.key.detail else "")
    return f"{what} {value(one, one.old)} -> {value(one, one.new)} ({allowed(one)})"


def value(one: Difference, number: float | None) -> str:
    """Write a figure with its unit."""
    if number is None:
        return "not measured"
    written = {"snr": f"{number:.1f} dB", "latency": f"{number:.3f} ms", "cosine": f"{number:.5f}"}
    if one.key.measure in ("size", "memory"):
        return f"{number / 1e6:.2f} MB"
    return written.get(one.key.measure, f"{number:.4f}")


def allowed(one: Difference) -> str:
    """Write how much worse a figure may be."""
    if _is_factor(one.key.measure):
        return f"at most {(one.margin - 1) * 100:.3g} % more"
    return f"at most {one.margin:g} {'dB ' if one.key.measure == 'snr' else ''}less"


MEASURE_WORDS: dict[Measure, str] = {
    "ap": "AP",
    "ap-size": "AP",
    "ap-class": "AP",
    "cosine": "cosine",
    "snr": "SNR",
    "latency": "estimated time",
    "size": "file",
    "memory": "device memory",
}


def _differences(
    old: dict[Key, float | None], new: dict[Key, float | None], margins: MarginSettings, measures: Sequence[Measure]
) -> Iterator[Difference]:
    there = {key.subject for key in new}
    for key in sorted((key for key in old if key.measure in measures), key=lambda key: key.order):
        before, now, margin = old[key], new.get(key), _margin(key.measure, margins)
        # A bmodel that is missing is told once, not figure by figure.
        if before is not None and key.subject in there:
            worse = now is None or _is_worse(key.measure, before, now, margin)
            yield Difference(key=key, old=before, new=now, margin=margin, worse=worse)


def _is_worse(measure: Measure, old: float, new: float, margin: float) -> bool:
    if _is_factor(measure):
        return new > old * margin * (1 + _NOISE)
    if measure == "snr":
        old, new = min(old, CLEAN_DB), min(new, CLEAN_DB)
    return old - new > margin + _NOISE


def _is_factor(measure: Measure) -> bool:
    return measure in ("latency", "size", "memory")


def _margin(measure: Measure, margins: MarginSettings) -> float:
    return {
        "ap": margins.ap,
        "ap-size": margins.ap_by_size,
        "ap-class": margins.ap_by_class,
        "cosine": margins.cosine,
        "snr": margins.snr_db,
        "latency": margins.latency,
        "size": margins.size,
        "memory": margins.device_memory,
    }[measure]


def _named(record: ReleaseRecord) -> Named:
    compiler = record.provenance.toolchain
    return Named(version=record.version, compiler=f"{compiler.name} {compiler.version}")


def _disagreements(good: ReleaseRecord, new: ReleaseRecord) -> Iterator[str]:
    compiler = _named(good).compiler
    advice = f"the compilers are not all that differs; build once with {compiler} first, and what follows is compared"
    if good.provenance.weights_digest != new.provenance.weights_digest:
        yield f"not comparable: the weights are not those of release {good.version}: {advice}"
    if (good.preprocess, good.network) != (new.preprocess, new.network):
        yield f"not comparable: network or input size are not those of release {good.version}: {advice}"
    if (good.protocol, good.class_names) != (new.protocol, new.class_names):
        yield f"not comparable: images, classes or protocol are not those of release {good.version}: {advice}"


def _missing(good: ReleaseRecord, new: ReleaseRecord) -> Iterator[str]:
    there = {one.variant for one in new.variants}
    missing = [one.variant.path for one in good.variants if one.variant not in there]
    if missing:
        yield f"release {good.version} has {', '.join(missing)}, the new one does not"


def _notes(good: Side, new: Side) -> Iterator[str]:
    if good.measurements is None or new.measurements is None:
        older = (good if good.measurements is None else new).record.version
        yield (
            f"Release {older} is from before all measurements were kept: compared is what its record has, AP and "
            "cosine of each precision and time, size and memory of each file; not AP by size and class, nor SNR."
        )
    known = {one.variant for one in good.record.variants}
    added = [one.variant.path for one in new.record.variants if one.variant not in known]
    if added:
        yield f"New, and so compared with nothing: {', '.join(added)}."
    calibrations = [side.record.calibration and side.record.calibration.manifest for side in (good, new)]
    if calibrations[0] != calibrations[1]:
        yield "The int8 ranges come from other calibration images than those of the last good release."
