"""How int8 is made: how ranges are derived, what stays in float, and what is tried when that loses too much."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from settings.part import Part

Method = Literal["kl", "max", "mse", "percentile9999", "aciq_gauss", "aciq_laplace"]
FloatRule = Literal["first-convolution", "up-sampling", "heads"]


class Recipe(Part):
    """What stays in floating point in one int8 network; what lowering and compiling read.

    Attributes:
        float_tail: The concatenation and the last convolution of each head.
        float_layers: What else, by the structure of the network.
        named: What else, by the compiler's names: found by experiment while a build is under way, because names change
            with the trace and with the compiler.
    """

    float_tail: bool = True
    float_layers: tuple[FloatRule, ...] = ()
    named: tuple[str, ...] = ()


class Attempt(Part):
    """Another way to make int8; what it says is laid over the best way so far, the settings' own at first."""

    method: Method | Literal["same"] = Field(
        default="same", description="how the compiler derives ranges; same: as in the best way so far"
    )
    float_layers: tuple[FloatRule, ...] = Field(default=(), description="what else stays in float, by structure")
    most_sensitive: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="so many tensors inside the network are in float, with the layers that make and read them: those "
        "that bring the heads nearest the original, found by trying each",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.method == "same" and not self.float_layers and not self.most_sensitive:
            raise ValueError("changes nothing: give it a method, float_layers or most_sensitive")
        return self


# In order of cost: other ranges cost nothing on the device; the first convolution little, for it has three input
# channels; the heads work at the full size of the output; sensitive tensors have to be found first. The estimate of
# what each costs on the device is in the report.
ESCALATION = (
    Attempt(method="kl"),
    Attempt(method="percentile9999"),
    Attempt(float_layers=("first-convolution",)),
    Attempt(float_layers=("heads",)),
    Attempt(most_sensitive=4),
    Attempt(most_sensitive=8),
    Attempt(most_sensitive=16),
)


class QuantizeSettings(Part):
    """What stays in floating point in an int8 bmodel, and what is tried when int8 loses too much."""

    float_tail: bool = Field(
        default=True,
        description="keep the concatenation and the last convolution of each head in float; without it one int8 scale "
        "serves heatmap, size and offset, and the small ones die",
    )
    float_layers: tuple[FloatRule, ...] = Field(
        default=(),
        description="what else is kept in float: the convolution that reads the image, the transposed convolutions "
        "that sample up, everything from where the heads part",
    )
    escalation: tuple[Attempt, ...] = Field(
        default=ESCALATION,
        description="what is tried, in this order, when int8 of a chip loses more than the gate allows; the first that "
        "does not is built. Empty tries nothing",
    )

    @property
    def recipe(self) -> Recipe:
        """What stays in float, without what is tried when that is not enough."""
        return Recipe(float_tail=self.float_tail, float_layers=self.float_layers)
