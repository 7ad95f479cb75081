"""Variants: which compiled files exist, and what each is called."""

from __future__ import annotations

import functools
import re
from typing import Any, Dict, Tuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from typing_extensions import Literal, get_args

from artifacts.digest import canonical_json
from artifacts.errors import BadVariant

Chip = Literal["BM1684", "BM1684X", "BM1688"]
Precision = Literal["fp32", "fp16", "int8"]
Io = Literal["float", "raw"]
CHIPS: Tuple[str, ...] = get_args(Chip)
PRECISIONS: Tuple[str, ...] = get_args(Precision)
IOS: Tuple[str, ...] = get_args(Io)

_MAX_CORES = 2
_STEM = re.compile(
    r"centernet_(?P<precision>fp32|fp16|int8)_(?P<batch>[1-9]\d{0,3})b(_(?P<cores>2)core)?(_(?P<io>raw))?"
)


class Record(BaseModel):
    """Base of the records: frozen; fields that a newer minor version added are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    def to_json(self) -> bytes:
        """Return the record as canonical JSON: equal records give equal bytes."""
        return canonical_json(self.model_dump(mode="json"))


@functools.total_ordering
class Variant(Record):
    """Chip x precision x batch x cores x io: one compiled file. Sorts by these, in the order of CHIPS and PRECISIONS.

    What `float` takes and gives is float32, as the vendor's samples have it. `raw` takes the pixels themselves, uint8
    [N, 3, H, W], and gives the head tensor in the type in which the chip computes it.
    """

    chip: Chip
    precision: Precision
    batch: int
    cores: int = 1
    io: Io = Field(
        default="float", description="what it takes and gives: float32, or raw pixels and the chip's own type"
    )

    @model_validator(mode="after")
    def _exists(self) -> Variant:
        if self.batch < 1:
            raise BadVariant(f"a batch of {self.batch} does not exist: use 1 or more")
        if self.precision == "fp16" and self.chip == "BM1684":
            raise BadVariant("BM1684 has no fp16 arithmetic: use fp32 or int8 there, or fp16 on BM1684X or BM1688")
        if not 1 <= self.cores <= _MAX_CORES:
            raise BadVariant(f"no chip has {self.cores} cores: use 1, or 2 on BM1688")
        if self.cores > 1 and self.chip != "BM1688":
            raise BadVariant(f"{self.chip} has one core: {self.cores} cores exist only on BM1688")
        if self.io == "raw" and self.chip == "BM1684":
            raise BadVariant("BM1684 takes no raw pixels: its compiler cannot put the preprocessing into the bmodel")
        if self.io == "raw" and self.precision != "int8":
            raise BadVariant(f"raw pixels are for int8: in {self.precision} they cost time on the chip and rounding")
        return self

    @model_serializer(mode="wrap")
    def _without_the_usual_io(self, whole: SerializerFunctionWrapHandler) -> Dict[str, Any]:
        # Before there was raw, no record had the field: what is float keeps its digests and its cache keys.
        fields: Dict[str, Any] = whole(self)
        return {name: value for name, value in fields.items() if name != "io" or value != "float"}

    @property
    def stem(self) -> str:
        """File name without suffix, as in the vendor's samples: ``centernet_int8_4b``, ``centernet_int8_4b_2core``.

        They know no raw pixels, and would feed floats: ``centernet_int8_4b_2core_raw``.
        """
        cores = f"_{self.cores}core" if self.cores > 1 else ""
        return f"centernet_{self.precision}_{self.batch}b{cores}{'_raw' if self.io == 'raw' else ''}"

    @property
    def folder(self) -> str:
        """Folder in a release: the chip."""
        return self.chip

    @property
    def path(self) -> str:
        """Where the file lies in a release: ``BM1684X/centernet_int8_4b.bmodel``."""
        return f"{self.folder}/{self.stem}.bmodel"

    @classmethod
    def from_path(cls, path: str) -> Variant:
        """Return the variant that `path` names; the opposite of the property.

        Args:
            path: ``<chip>/<stem>.bmodel``, folders above it allowed.

        Raises:
            BadVariant: The path does not follow the naming, or names a variant that does not exist.
        """
        folder, _, name = path.rpartition("/")
        match = _STEM.fullmatch(name[: -len(".bmodel")]) if name.endswith(".bmodel") else None
        chip = folder.rpartition("/")[2]
        if match is None or chip not in CHIPS:
            raise BadVariant(f"{path!r} does not name a variant: expected <chip>/centernet_<precision>_<batch>b.bmodel")
        try:
            named = {"cores": match["cores"] or 1, "io": match["io"] or "float"}
            return cls.model_validate({"chip": chip, "precision": match["precision"], "batch": match["batch"], **named})
        except ValidationError as error:
            raise BadVariant(f"{path!r} names a variant that does not exist: {error.errors()[0]['msg']}") from error

    def __lt__(self, other: Variant) -> bool:
        return self._order() < other._order()

    def _order(self) -> Tuple[int, int, int, int, int]:
        return (
            CHIPS.index(self.chip),
            PRECISIONS.index(self.precision),
            self.batch,
            self.cores,
            IOS.index(self.io),
        )
