"""Records of the ways that are tried to make int8 of a chip, and of what came of each."""

from __future__ import annotations

from artifacts.measurements import Loss
from artifacts.release import Variant
from settings.quantize import Recipe
from tasks.records import HeadDistance, Record


class Label(Record):
    """What an attempt at int8 is called, beside the first; no fact about any result, and in no key.

    Attributes:
        text: Empty for the first attempt, which needs no name.
    """

    text: str = ""

    def __format__(self, _spec: str) -> str:
        return f" ({self.text})" if self.text else ""


NO_LABEL = Label()


class Screened(Record):
    """How near the heads come to the original's on a few images: enough to see whether measuring more is worth it.

    Attributes:
        distances: By head, against the TorchScript.
    """

    distances: dict[str, HeadDistance]


class TensorShare(Record):
    """What the int8 of one tensor inside the network brings into the heads.

    Attributes:
        tensor: Name of the layer that makes it, or of the input.
        kind: Of the operation that makes it, such as `top.Conv`.
        layers: Those that have to be in float for it to be: the one that makes it and those that read it.
        removed: By head, the share of the noise's energy that is gone when it is in float; negative where it grows.
    """

    tensor: str
    kind: str
    layers: tuple[str, ...]
    removed: dict[str, float]

    @property
    def worth(self) -> float:
        """The mean over the heads, which count alike whatever their magnitudes."""
        return sum(self.removed.values()) / len(self.removed)


class Sensitivity(Record):
    """Which tensors bring the error into the heads.

    Attributes:
        variant: Chip and precision.
        images: How many calibration images it was measured on.
        tensors: The one that is worth most first.
    """

    variant: Variant
    images: int
    tensors: tuple[TensorShare, ...]

    def layers(self, count: int) -> tuple[str, ...]:
        """Name the layers that have to be in float for so many tensors to be."""
        return tuple(dict.fromkeys(layer for share in self.tensors[:count] for layer in share.layers))


class Tried(Record):
    """One way to make int8 of one chip, and what came of it.

    Attributes:
        variant: Chip and precision; batch and cores are 1.
        label: What it is called.
        method: How the ranges were derived.
        recipe: What was to stay in float.
        float_layers: The layers that did.
        distances: By head, against the TorchScript.
        ap: None where accuracy was not measured.
        bounds: What it loses; None where accuracy was not measured.
        estimated_ms: The compiler's estimate for one image; None where it was not compiled.
        reasons: Why the gate does not take it; empty where it does.
        chosen: Whether the release is made this way.
    """

    variant: Variant
    label: Label
    method: str
    recipe: Recipe
    float_layers: tuple[str, ...]
    distances: dict[str, HeadDistance]
    ap: float | None = None
    bounds: Loss | None = None
    estimated_ms: float | None = None
    reasons: tuple[str, ...] = ()
    chosen: bool = False
