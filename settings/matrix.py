"""The variants to build, and which of them are run in the simulator."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from typing import Annotated

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from artifacts.variant import CHIPS, IOS, PRECISIONS, Chip, Io, Precision, Variant
from settings.part import Part
from settings.toml_text import shown

MAX_BATCH = 64


class MatrixRow(Part):
    """Variants of one chip: every combination of the precisions, batches, cores and kinds of input and output."""

    chip: Chip = Field(description="chip, always written so")
    precisions: tuple[Precision, ...] = Field(min_length=1, description="precisions; fp16 not on BM1684")
    batches: tuple[Annotated[int, Field(ge=1, le=MAX_BATCH)], ...] = Field(
        default=(1,), min_length=1, description="batch sizes, images"
    )
    cores: tuple[Annotated[int, Field(ge=1, le=2)], ...] = Field(
        default=(1,), min_length=1, description="cores that share one input; 2 only on BM1688"
    )
    io: tuple[Io, ...] = Field(
        default=("float",),
        min_length=1,
        description="float takes and gives float32; raw takes uint8 pixels, int8 only and not on BM1684",
    )

    @field_validator("precisions")
    @classmethod
    def _chip_has_them(cls, precisions: tuple[Precision, ...], info: ValidationInfo) -> tuple[Precision, ...]:
        for precision in precisions if "chip" in info.data else ():
            _refuse_unless_real(info.data["chip"], precision, 1)
        return precisions

    @field_validator("cores")
    @classmethod
    def _chip_has_so_many(cls, cores: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        for count in cores if "chip" in info.data else ():
            _refuse_unless_real(info.data["chip"], "int8", count)
        return cores

    @field_validator("io")
    @classmethod
    def _precisions_have_them(cls, io: tuple[Io, ...], info: ValidationInfo) -> tuple[Io, ...]:
        for kind, precision in product(io, info.data.get("precisions", ()) if "chip" in info.data else ()):
            _refuse_unless_real(info.data["chip"], precision, 1, kind)
        return io


class SimulatorSettings(Part):
    """Which bmodels are run in the vendor's simulator, and how near the interpreter they must come."""

    images: int = Field(default=2, ge=0, le=1000, description="evaluation images run through each bmodel; 0 runs none")
    skip: tuple[str, ...] = Field(
        default=(),
        description="variants that take too long there, as CHIP/STEM; * stands for any text",
        json_schema_extra={"allowed": "a list of CHIP/STEM such as BM1684X/centernet_fp16_4b, * for any text"},
    )
    # Where int8 is whole, both must be equal bit by bit. The size head reaches some hundred cells, where neighbouring
    # float16 numbers are 0.0625 apart: this is four of those steps.
    max_abs: float = Field(
        default=0.25,
        ge=0,
        description="largest difference of an output value in fp16, and in int8 with a float tail; in the head's unit",
    )
    max_abs_fp32: float = Field(
        default=0.001, ge=0, description="largest difference of an output value in fp32; in the head's unit"
    )

    @field_validator("skip")
    @classmethod
    def _match_something(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in _known_names()):
                close = difflib.get_close_matches(pattern, _known_names(), n=1)
                hint = f", did you mean {close[0]}?" if close else ""
                raise ValueError(f"{shown(pattern)} matches no variant that can exist{hint}")
        return patterns

    def skips(self, variant: Variant) -> bool:
        """Whether a variant is left out.

        Args:
            variant: one of the matrix.

        Returns:
            True where a pattern matches its chip and stem, or no images are run at all.
        """
        return self.images == 0 or any(fnmatchcase(f"{variant.chip}/{variant.stem}", pattern) for pattern in self.skip)


def expand(rows: Iterable[MatrixRow]) -> tuple[Variant, ...]:
    """Multiplies the rows of a matrix out.

    Args:
        rows: rows of a matrix; they may overlap.

    Returns:
        Each variant once, sorted by chip, precision, batch, cores and io.
    """
    variants = {
        Variant(chip=row.chip, precision=precision, batch=batch, cores=cores, io=io)
        for row in rows
        for precision, batch, cores, io in product(row.precisions, row.batches, row.cores, row.io)
    }
    return tuple(sorted(variants))


def _refuse_unless_real(chip: Chip, precision: Precision, cores: int, io: Io = "float") -> None:
    try:
        Variant(chip=chip, precision=precision, batch=1, cores=cores, io=io)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


@cache
def _known_names() -> tuple[str, ...]:
    names = []
    for chip, precision, batch, cores, io in product(CHIPS, PRECISIONS, range(1, MAX_BATCH + 1), (1, 2), IOS):
        fields = {"chip": chip, "precision": precision, "batch": batch, "cores": cores, "io": io}
        try:
            variant = Variant.model_validate(fields)
        except ValidationError:
            continue
        names.append(f"{chip}/{variant.stem}")
    return tuple(names)
