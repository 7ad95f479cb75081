"""The parts of the settings that say how builds are run over the years: where, compared how, and what is kept."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from artifacts.reference import parse_reference
from settings.locations import LocalPath
from settings.part import Fraction, Part

Ratio = Annotated[float, Field(ge=1, le=100)]

SCHEDULER_PATTERN = r"^(tcp|tls)://[^\s/]+:[0-9]{1,5}$"


class RunnerSettings(Part):
    """Where the tasks of a build run."""

    kind: Literal["threads", "dask"] = Field(
        default="threads", description="threads of this process, or the workers of a Dask scheduler"
    )
    scheduler: str | None = Field(
        default=None,
        pattern=SCHEDULER_PATTERN,
        description="address of the Dask scheduler",
        json_schema_extra={"allowed": "an address such as tcp://build-1:8786"},
    )

    @model_validator(mode="after")
    def _dask_has_a_scheduler(self) -> Self:
        if (self.kind == "dask") != (self.scheduler is not None):
            raise ValueError("kind dask and a scheduler's address belong together")
        return self


class ExchangeSettings(Part):
    """Where machines that build together hand over bytes and results, each having a store of its own."""

    folder: LocalPath | None = Field(
        default=None, description="folder that all machines see; none where they share no folder"
    )
    repository: str | None = Field(
        default=None,
        description="repository on a registry server, where they share no folder",
        json_schema_extra={
            "allowed": "a server and a repository without a tag, such as registry.example.com/centernet-work"
        },
    )

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.folder is not None and self.repository is not None:
            raise ValueError("give a folder or a repository, not both")
        if self.repository is not None:
            reference = parse_reference(self.repository)
            if reference.kind != "remote" or reference.home != self.repository.lower():
                raise ValueError("the repository is none on a server: give HOST[:PORT]/REPOSITORY without a tag")
        return self


class MarginSettings(Part):
    """How much worse the release of a new compiler may be than the last good one and still take its place.

    The same weights, images and protocol; a compiler that changes nothing in the numbers gives differences of zero.
    """

    ap: Fraction = Field(default=0.002, description="largest loss of AP of a chip and precision; AP, 0 to 1")
    ap_by_size: Fraction = Field(
        default=0.01, description="largest loss of AP on small, medium or large objects; AP, 0 to 1"
    )
    ap_by_class: Fraction = Field(default=0.05, description="largest loss of AP of a single class; AP, 0 to 1")
    cosine: Fraction = Field(default=0.001, description="largest loss of a head's cosine similarity; 0 to 2")
    snr_db: float = Field(default=1.0, ge=0, le=200, description="largest loss of a head's signal to noise; decibel")
    latency: Ratio = Field(default=1.03, description="largest growth of the estimated time of a batch; a factor")
    size: Ratio = Field(default=1.15, description="largest growth of a file; a factor")
    device_memory: Ratio = Field(default=1.05, description="largest growth of the device memory of a model; a factor")


class KeepSettings(Part):
    """What cleaning leaves although no release needs it."""

    days: float = Field(
        default=30, ge=0, le=36500, description="results, logs and journals of runs within so many days; days"
    )
    toolchains: int = Field(
        default=2, ge=1, le=1000, description="newest compiler environments that stay beside those that releases name"
    )
