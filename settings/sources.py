"""Where weights, photographs and annotations come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from settings.locations import LocalPath, Location, is_shipped
from settings.part import Part, Seed

DIGEST_PATTERN = r"^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96})$"


class FileSource(Part):
    """One file: where it can be had, and how it is known again."""

    mirrors: tuple[Location, ...] = Field(
        min_length=1, description="places that hold the file, tried in this order until one gives the right bytes"
    )
    size: int | None = Field(default=None, ge=1, le=2**40, description="size of the file, bytes; none where not known")
    record_first_use: bool = Field(
        default=False, description="where no digest is known, record that of the first download and enforce it"
    )
    # Declared last: its rule reads the fields above.
    digest: str | None = Field(
        default=None,
        pattern=DIGEST_PATTERN,
        description="digest of the file's bytes; may be missing for a file that ships with the project",
        json_schema_extra={"allowed": "sha256: and 64, or sha384: and 96 lower-case hexadecimal digits"},
    )

    @field_validator("digest")
    @classmethod
    def _known_or_recorded(cls, digest: str | None, info: ValidationInfo) -> str | None:
        mirrors = info.data.get("mirrors")
        if digest is None and mirrors and not info.data.get("record_first_use") and not all(map(is_shipped, mirrors)):
            raise ValueError(
                "no digest is known, so what arrives could not be checked; give it (sha256sum FILE), "
                "or set record_first_use = true to trust the first download"
            )
        return digest


class GeneratedSource(Part):
    """The sample's generated scenes, with exact boxes; calibration and evaluation never get the same ones."""

    kind: Literal["generated"] = Field(description="scenes drawn by the project itself")
    count: int = Field(ge=1, le=100_000, description="number of scenes, images")
    seed: Seed = Field(default=0, description="seed of the scenes; the same seed gives the same bytes")


class FolderSource(Part):
    """Images in local folders."""

    kind: Literal["folder"] = Field(description="images in local folders")
    folders: tuple[LocalPath, ...] = Field(min_length=1, description="folders that hold the images")
    annotations: tuple[LocalPath, ...] = Field(
        default=(), description="COCO annotation files (JSON) about these images; may stay empty for calibration"
    )


class LabelledFolderSource(FolderSource):
    """Images in local folders, with the boxes that an evaluation needs."""

    annotations: tuple[LocalPath, ...] = Field(
        min_length=1, description="COCO annotation files (JSON); only images that they list are evaluated"
    )


class CocoSource(Part):
    """A split of MS COCO 2017 (Lin et al. 2014, arXiv 1405.0312), its images fetched one by one."""

    kind: Literal["coco"] = Field(description="a split of MS COCO, fetched image by image")
    split: str = Field(
        pattern=r"^[a-z0-9_]+$",
        description="name of the split, such as val2017",
        json_schema_extra={"allowed": "lower-case letters, digits and _"},
    )
    image_mirrors: tuple[Location, ...] = Field(
        min_length=1, description="folders of images under their own names, on a server (with / at the end) or here"
    )
    instances: FileSource = Field(description="the split's annotation file: boxes and the list of images")
    candidates: int | None = Field(
        default=None, ge=1, le=200_000, description="images of the split that are considered; none means all"
    )

    @field_validator("image_mirrors")
    @classmethod
    def _are_folders(cls, mirrors: tuple[str, ...]) -> tuple[str, ...]:
        for mirror in mirrors:
            if mirror.startswith(("http:", "https:")) and not mirror.partition("?")[0].endswith("/"):
                raise ValueError("an address here names a folder and ends in /")
        return mirrors


ImageSource = Annotated[GeneratedSource | FolderSource | CocoSource, Field(discriminator="kind")]
LabelledSource = Annotated[GeneratedSource | LabelledFolderSource | CocoSource, Field(discriminator="kind")]
