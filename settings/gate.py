"""What a variant must keep of the original's accuracy to be published."""

from __future__ import annotations

from pydantic import Field

from settings.part import Fraction, Part


class HeadFloors(Part):
    """The least cosine similarity to the TorchScript's output, by head: a whole output hides its small heads."""

    heatmap: Fraction = Field(description="80 class planes, as logits; cosine, 0 to 1")
    size: Fraction = Field(description="box width and height; cosine, 0 to 1")
    offset: Fraction = Field(description="centre offset; cosine, 0 to 1")


class CosineFloors(Part):
    """The least cosine similarity for each precision."""

    fp32: HeadFloors = Field(
        default=HeadFloors(heatmap=0.9999, size=0.9999, offset=0.9999), description="fp32 variants"
    )
    fp16: HeadFloors = Field(default=HeadFloors(heatmap=0.999, size=0.999, offset=0.999), description="fp16 variants")
    int8: HeadFloors = Field(default=HeadFloors(heatmap=0.99, size=0.9, offset=0.9), description="int8 variants")


class GateSettings(Part):
    """The gate; a variant that fails is kept for inspection and stops the release."""

    max_ap_drop: Fraction = Field(
        default=0.005,
        description="largest loss of an int8 variant to fp32 of the same weights, with 95 % confidence by a paired "
        "bootstrap over the images; AP, 0 to 1",
    )
    max_ap_drop_fp16: Fraction = Field(
        default=0.002,
        description="largest loss of an fp16 or fp32 variant to the traced network, with 95 % confidence; AP, 0 to 1",
    )
    min_cosine: CosineFloors = Field(default=CosineFloors(), description="least cosine similarity, head by head")
