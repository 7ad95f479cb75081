"""Where the time goes."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class StageTimes:
    """Seconds spent in each stage, summed over all images so far.

    The stages of a stream overlap, and some run in several threads: their sum can exceed the time that passed.

    Attributes:
        images: How many images that were.
        preprocess_s: From pixels to input tensors.
        infer_s: In the engine.
        decode_s: From head tensors to detections.
        read_s: From files to pixels, where a stream does that.
    """

    images: int = 0
    preprocess_s: float = 0.0
    infer_s: float = 0.0
    decode_s: float = 0.0
    read_s: float = 0.0

    def __add__(self, other: StageTimes) -> StageTimes:
        return StageTimes(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other))))
