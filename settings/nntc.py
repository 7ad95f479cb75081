"""The vendor's older compiler, tpu-nntc: where it is, and which variants it makes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from artifacts.variant import Variant
from settings.locations import LocalPath
from settings.part import Part

OLDEST = "3.1.0"


def as_numbers(version: str) -> tuple[int, ...]:
    """Return a version such as 3.1.7 as numbers, which compare as versions do."""
    return tuple(map(int, version.split(".")))


class NntcSettings(Part):
    """Where tpu-nntc is on this machine, and what it is told; read only where `toolchain.name` asks for it.

    It is no package: the vendor gives it out as an archive that is used in a docker image. One of `image` and `python`
    says in what its commands run.
    """

    version: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$",
        description="release of tpu-nntc that is there; none where it is not used",
        json_schema_extra={"allowed": f"three numbers such as {OLDEST}, not below that"},
    )
    image: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$",
        description="docker image that its commands run in, which is on this machine already; none with `python`",
        json_schema_extra={"allowed": "the name of an image, such as sophgo/tpuc_dev:v2.1"},
    )
    python: LocalPath | None = Field(
        default=None, description="Python that its modules can be imported by; none with `image`"
    )
    folder: LocalPath | None = Field(
        default=None,
        description="unpacked archive of tpu-nntc, whose scripts/envsetup.sh prepares each command; none where image "
        "or Python need no preparation",
    )
    fp32_layers: tuple[Annotated[str, Field(pattern=r"^[^\s,]{1,200}$")], ...] = Field(
        default=(),
        description="layers that stay in float32 in int8, by the compiler's own names of this very network",
    )

    @field_validator("version")
    @classmethod
    def _new_enough(cls, value: str | None) -> str | None:
        if value is not None and as_numbers(value) < as_numbers(OLDEST):
            raise ValueError(f"is older than {OLDEST}, the first release whose commands are planned for")
        return value

    @property
    def lacks(self) -> str | None:
        """What is not said that has to be said where it is used; None where nothing is missing."""
        if self.version is None:
            return "needs version, the release of tpu-nntc that is there"
        if self.image is not None and self.python is not None:
            return "has both image and python: keep the one in which the commands of tpu-nntc run"
        if self.image is None and self.python is None:
            return "needs one of image and python, which say in what the commands of tpu-nntc run"
        return None


def not_made(variant: Variant) -> str | None:
    """Tell why tpu-nntc cannot make a variant.

    Args:
        variant: What is wanted.

    Returns:
        The reason; None where it can.
    """
    if variant.chip == "BM1688":
        return "it knows BM1684 and BM1684X only"
    if variant.precision == "fp16":
        return "its manual has no fp16: one of the vendor's scripts sets an undocumented variable for it"
    if variant.io == "raw":
        return "it does not put the preprocessing of raw pixels into the bmodel"
    return None
