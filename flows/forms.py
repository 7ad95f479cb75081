"""The forms of the deployments: what a person fills in on a page, turned into overrides of the settings.

What is left empty comes from the profile and from the environment of the machine that does the work. The forms' JSON
schema is what the server checks, what the command line checks and what the page is drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer
from pydantic.json_schema import SkipJsonSchema

from artifacts.reference import parse_reference
from artifacts.variant import Chip, Io, Precision
from settings.errors import Problem, SettingsError
from settings.load import load_settings
from settings.matrix import MAX_BATCH, MatrixRow
from settings.model import Settings
from settings.quantize import Method
from settings.toml_text import format_value
from tasks.devices.records import Request

ShippedProfile = Literal["coco", "coco-dla34", "sample"]
Batch = Annotated[int, Field(ge=1, le=MAX_BATCH)]
Cores = Annotated[int, Field(ge=1, le=2)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Limit = Annotated[int, Field(ge=1, le=1_000_000)]
Days = Annotated[float, Field(ge=0, le=36500)]
ProfileFile = Annotated[str, StringConstraints(pattern=r"\.toml$")]
Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*([a-z]+[0-9]+)?$")]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=200)]
Scalar = bool | int | float | str
# Left empty. The page draws a plain field for what the schema does not call nullable.
Empty = SkipJsonSchema[None]


# Which programs a machine starts, which keys it uses and where it logs in: whoever may only fill in forms would
# choose what its account runs, or have anything signed.
_MACHINES_OWN = ("toolchain.python", "toolchain.nntc", "release.signing_key", "devices")
_NOT_BY_FORM = (
    "names a program, a key or a device of the machine that works, which no form chooses: set it in a profile there, "
    "or in its environment"
)


def _without_nulls(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        # Of what is left out, null would be the default, which the schema refuses.
        if field.get("default", ...) is None:
            del field["default"]


class Form(BaseModel):
    """What all forms have."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_without_nulls)

    profile: ShippedProfile = Field(
        default="sample", description="The profile that everything left empty comes from", examples=["sample"]
    )
    profile_file: ProfileFile | Empty = Field(
        default=None,
        description="A profile of your own in place of a shipped one: path of a .toml file on the machine that works",
        examples=["/srv/profiles/traffic.toml"],
    )
    overrides: dict[Key, Scalar | list[Scalar] | None] = Field(
        default={},
        description="Every other setting, by its dotted key; the keys are what `python -m flows.build --settings` "
        "prints. null unsets",
        examples=[{"simulator.images": 0, "workers": 4}],
    )

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}

    @property
    def source(self) -> str | Path:
        """What `load_settings` takes as the profile."""
        return self.profile if self.profile_file is None else Path(self.profile_file)

    def named(self) -> Mapping[str, object]:
        """The settings that fields of this form stand for, by dotted key; None where a field was left empty."""
        return {}


class BuildForm(Form):
    """What to build."""

    chips: list[Chip] = Field(
        default=[], description="Only these chips of the profile's matrix; empty builds all of it"
    )
    precisions: list[Precision] = Field(default=[], description="Only these precisions of the profile's matrix")
    batches: list[Batch] = Field(
        default=[], description="Only these batch sizes of the profile's matrix, images", examples=[[1]]
    )
    io: list[Io] = Field(default=[], description="Only these kinds of input and output of the profile's matrix")
    toolchain_version: Version | Empty = Field(
        default=None,
        description="Exact version of the compiler's package",
        examples=["1.30.2"],
    )
    calibration_count: Count | Empty = Field(
        default=None,
        description="Images in the curated calibration set",
    )
    calibration_method: Method | Empty = Field(
        default=None,
        description="How the compiler derives a tensor's range from the calibration images",
    )
    evaluation_limit: Limit | Empty = Field(
        default=None,
        description="Measure accuracy on only the first so many images, by image id",
    )
    release_version: Tag | Empty = Field(
        default=None,
        description="Version tag of the release",
        examples=["2026.11"],
    )
    push: str | Empty = Field(
        default=None,
        description="Repository on a registry server that the release is pushed to as well: HOST[:PORT]/REPOSITORY",
        examples=["registry.example.com/models/centernet"],
    )
    move_latest: bool = Field(
        default=True, description="Whether `latest` means this release afterwards, here and where it is pushed to"
    )

    def named(self) -> Mapping[str, object]:
        """The settings that fields of this form stand for, by dotted key; None where a field was left empty."""
        return {
            "toolchain.version": self.toolchain_version,
            "calibration.count": self.calibration_count,
            "calibration.method": self.calibration_method,
            "evaluation.limit": self.evaluation_limit,
            "release.version": self.release_version,
            "release.push": self.push,
        }


class WatchForm(Form):
    """What to look for."""

    compiler: Version | Empty = Field(
        default=None,
        description="The compiler release to try; empty takes the newest of the package index",
    )
    dry_run: bool = Field(default=False, description="Only say what would be done")


class CleanForm(Form):
    """What to clean."""

    older_than: Days | Empty = Field(
        default=None,
        description="What was written within so many days stays, days; empty: keep.days",
    )
    remove: bool = Field(default=True, description="Whether anything is removed, or only told")


class ValidateForm(Form):
    """What to validate, and where."""

    reference: str | Empty = Field(
        default=None,
        description="The release, as oci:FOLDER:TAG or HOST[:PORT]/REPOSITORY[:TAG|@DIGEST]; empty takes the newest "
        "that the profile published",
        examples=["registry.example.com/models/centernet:latest"],
    )
    device: str = Field(
        default="simulator",
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
        max_length=40,
        description="A device of the settings, by its name",
    )
    chip: Chip | Empty = Field(
        default=None,
        description="Only models for this chip; empty takes the device's own",
    )
    precision: Precision | Empty = Field(default=None, description="Only models in this precision")
    batch: Batch | Empty = Field(default=None, description="Only models that take so many images at once")
    cores: Cores | Empty = Field(default=None, description="Only models for so many cores")
    io: Io | Empty = Field(default=None, description="Only models that take this; empty prefers float")
    every: bool = Field(default=False, description="All models that fit; otherwise exactly one has to fit")
    limit: Limit | Empty = Field(
        default=None,
        description="Measure on only the first so many images, by image id",
    )
    evidence: bool = Field(default=True, description="Attach what is found to the release")

    def request(self, settings: Settings) -> Request:
        """Return what the validation is asked for.

        Args:
            settings: Where the release is when the form names none.

        Raises:
            BadReference: The form's reference is none.
        """
        reference = parse_reference(self.reference or f"oci:{settings.release.repository}")
        wish = self.model_dump(
            include={"device", "chip", "precision", "batch", "cores", "io", "every", "limit", "evidence"}
        )
        return Request(reference=str(reference), **wish)


def settings_of(form: Form, environ: Mapping[str, str]) -> Settings:
    """Load the settings that a form asks for, on the machine that is to do the work.

    Args:
        form: The form.
        environ: This machine's environment; `CENTERNET_...` wins over the profile, the form over both.

    Raises:
        SettingsError: Anything is wrong; it holds every problem found.
    """
    refused = [Problem(key, _NOT_BY_FORM, "the form") for key in form.overrides if _is_machines_own(key)]
    if refused:
        raise SettingsError(refused)
    overrides = overrides_of(form)
    settings = load_settings(form.source, overrides=overrides, environ=environ)
    if not isinstance(form, BuildForm) or not (form.chips or form.precisions or form.batches or form.io):
        return settings
    kept = (form.chips or None, form.precisions or None, form.batches or None, form.io or None)
    rows = list(restricted(settings.matrix, *kept))
    if not rows:
        raise SettingsError([Problem("matrix", f"nothing of profile {settings.profile} is left of it", "the form")])
    matrix = format_value([row.model_dump(mode="json") for row in rows])
    return load_settings(form.source, overrides=[*overrides, f"matrix={matrix}"], environ=environ)


def overrides_of(form: Form) -> tuple[str, ...]:
    """Return what `--set` would be given for a form, `KEY=VALUE` each; its own fields win over its overrides."""
    values: dict[str, object] = dict(form.overrides)
    values.update({key: value for key, value in form.named().items() if value is not None})
    return tuple(f"{key}={_text(value)}" for key, value in values.items())


def restricted(
    matrix: Sequence[MatrixRow],
    chips: Sequence[Chip] | None,
    precisions: Sequence[Precision] | None,
    batches: Sequence[int] | None,
    io: Sequence[Io] | None = None,
) -> Iterator[MatrixRow]:
    """Leave of a matrix what is asked for.

    Args:
        matrix: The rows.
        chips: Those that stay; None keeps all.
        precisions: The same of precisions.
        batches: The same of batch sizes, images.
        io: The same of kinds of input and output.

    Yields:
        The rows of which something is left.
    """
    for row in matrix:
        left: dict[str, Any] = {
            "precisions": tuple(one for one in row.precisions if precisions is None or one in precisions),
            "batches": tuple(one for one in row.batches if batches is None or one in batches),
            "io": tuple(one for one in row.io if io is None or one in io),
        }
        if (chips is None or row.chip in chips) and all(left.values()):
            yield row.model_copy(update=left)


def _is_machines_own(key: str) -> bool:
    return any(key == own or key.startswith(f"{own}.") for own in _MACHINES_OWN)


def _text(value: object) -> str:
    # Text as it is: the settings know where 1.30 is a version and where a number.
    return value if isinstance(value, str) else format_value(value)
