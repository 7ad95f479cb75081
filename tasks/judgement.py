"""Records of what is judged: how much a rung loses, and what the gate says of a variant."""

from __future__ import annotations

from artifacts.measurements import Loss
from artifacts.release import Variant
from tasks.records import Record


class MeasuredLoss(Record):
    """The loss of one chip and precision.

    Attributes:
        variant: Chip and precision; batch and cores are 1.
        bounds: None where accuracy was not measured.
        scores: Scores of the TorchScript, each with the score at which this rung finds as many objects; rising.
    """

    variant: Variant
    bounds: Loss | None
    scores: tuple[tuple[float, float], ...] = ()


class Verdict(Record):
    """What the gate says of one variant.

    Attributes:
        variant: Which.
        passed: Whether it may be published.
        reasons: Why not; empty when it passed.
        unjudged: What was not judged, and why.
        undecided: Whether it did not pass for no other reason than that there are too few images to tell.
    """

    variant: Variant
    passed: bool
    reasons: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    undecided: bool = False


class Judgement(Record):
    """What the gate says.

    Attributes:
        verdicts: One a bmodel, in their order.
    """

    verdicts: tuple[Verdict, ...]
