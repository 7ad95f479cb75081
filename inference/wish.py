"""What a user asks of a release's models: chip, precision, batch, cores and io, each of which may be left open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from artifacts.release import CHIPS, PRECISIONS
from artifacts.variant import IOS, Variant
from inference.errors import OptionError

AXES = ("chip", "precision", "batch", "cores", "io")
"""What tells the models of a release apart; each is an option of the same name."""


@dataclass(frozen=True)
class Wish:
    """What is asked for; None leaves it open.

    Attributes:
        chip: ``BM1684``, ``BM1684X`` or ``BM1688``.
        precision: ``fp32``, ``fp16`` or ``int8``.
        batch: Images at once.
        cores: Cores of the chip.
        io: ``float`` or ``raw``. Left open, `choice` takes float where a release has both.
        every: Take all that fit, not exactly one.
    """

    chip: Optional[str] = None
    precision: Optional[str] = None
    batch: Optional[int] = None
    cores: Optional[int] = None
    io: Optional[str] = None
    every: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot exist.

        Raises:
            OptionError: There is no such chip, precision or io at all.
        """
        axes = (("chip", self.chip, CHIPS), ("precision", self.precision, PRECISIONS), ("io", self.io, IOS))
        for name, value, known in axes:
            if value is not None and value not in known:
                raise OptionError(f"there is no {name} {value!r}: choose one of {', '.join(known)}")

    def fits(self, variant: Variant) -> bool:
        """Whether a variant is what is asked for."""
        return all(getattr(self, axis) in (None, getattr(variant, axis)) for axis in AXES)

    def choice(self, variants: Sequence[Variant]) -> Tuple[Variant, ...]:
        """Which of some variants are meant: those that fit, and of these the float ones unless io or all are asked for.

        A program that feeds a model itself feeds floats, as the vendor's samples do; it has to ask for anything else.
        """
        fitting = tuple(variant for variant in variants if self.fits(variant))
        if self.io is not None or self.every:
            return fitting
        return tuple(variant for variant in fitting if variant.io == "float") or fitting

    def __str__(self) -> str:
        parts = [self.chip, self.precision]
        parts += [f"batch {self.batch}"] if self.batch is not None else []
        parts += [f"{self.cores} core{'s' if self.cores > 1 else ''}"] if self.cores is not None else []
        parts += [self.io]
        return " ".join(filter(None, parts))


def differing_axes(variants: Sequence[Variant]) -> Tuple[str, ...]:
    """Which of `AXES` tell some variants apart."""
    return tuple(axis for axis in AXES if len({getattr(variant, axis) for variant in variants}) > 1)
