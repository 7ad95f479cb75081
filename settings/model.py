"""The settings of a build, all parts together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Self

from pydantic import Field, PrivateAttr, model_validator

from artifacts.release import Variant
from settings.devices import SIMULATOR, Devices, SimulatorDevice
from settings.gate import GateSettings
from settings.locations import scrubbed, without_secrets
from settings.matrix import MatrixRow, SimulatorSettings, expand
from settings.nntc import not_made
from settings.operations import ExchangeSettings, KeepSettings, MarginSettings, RunnerSettings
from settings.part import Part
from settings.problems import DEFAULT
from settings.quantize import QuantizeSettings
from settings.schema import KeyPath, Node, find, holds_locations, inlined
from settings.sections import (
    CalibrationSettings,
    EvaluationSettings,
    NetworkSettings,
    PreprocessSettings,
    ReleaseSettings,
    StoreSettings,
    ToolchainSettings,
)
from settings.sources import CocoSource, FileSource, FolderSource
from settings.toml_text import format_key, format_value


class Settings(Part):
    """Everything that a build is told; made by `load_settings`."""

    profile: str = Field(description="the profile that was chosen: a shipped name, or the name of a file")
    demonstration: bool = Field(
        default=False, description="whether the result only shows the pipeline; said wherever its numbers appear"
    )
    network: NetworkSettings = Field(default=NetworkSettings(), description="the network")
    preprocess: PreprocessSettings = Field(default=PreprocessSettings(), description="how an image becomes the input")
    weights: FileSource = Field(description="the checkpoint")
    calibration: CalibrationSettings = Field(description="the images that the int8 ranges are derived from")
    evaluation: EvaluationSettings = Field(description="the images that accuracy is measured on")
    toolchain: ToolchainSettings = Field(default=ToolchainSettings(), description="the compiler")
    matrix: tuple[MatrixRow, ...] = Field(min_length=1, description="the variants to build")
    quantize: QuantizeSettings = Field(default=QuantizeSettings(), description="rules of mixed precision")
    simulator: SimulatorSettings = Field(default=SimulatorSettings(), description="what is run in the simulator")
    gate: GateSettings = Field(default=GateSettings(), description="what a variant must keep to be published")
    release: ReleaseSettings = Field(default=ReleaseSettings(), description="where the result goes")
    store: StoreSettings = Field(default=StoreSettings(), description="where intermediate results are kept")
    devices: Devices = Field(
        default={SIMULATOR: SimulatorDevice()},
        description="where a finished release can be validated, by name; not part of any build",
        json_schema_extra={"allowed": "tables by name, each with a kind: simulator, local or ssh"},
    )
    workers: int = Field(default=2, ge=1, le=256, description="tasks that run at the same time in one process")
    runner: RunnerSettings = Field(default=RunnerSettings(), description="where tasks run")
    exchange: ExchangeSettings = Field(
        default=ExchangeSettings(),
        description="where machines that build together hand over bytes; none for one machine",
    )
    margins: MarginSettings = Field(
        default=MarginSettings(), description="how much worse a new compiler's release may be and still be published"
    )
    keep: KeepSettings = Field(default=KeepSettings(), description="what cleaning leaves")

    _origins: Mapping[KeyPath, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        problems = disagreements({name: getattr(self, name) for name in type(self).model_fields})
        if problems:
            raise ValueError("; ".join(f"{format_key(path)} {what}" for path, what in problems))
        return self

    def with_origins(self, origins: Mapping[KeyPath, str]) -> Self:
        """The same settings, knowing where each value came from.

        Args:
            origins: origin of each key.

        Returns:
            A copy.
        """
        copy = self.model_copy()
        copy._origins = dict(origins)
        return copy

    def variants(self) -> tuple[Variant, ...]:
        """The variants to build.

        Returns:
            The matrix row by row multiplied out, each variant once, sorted.
        """
        return expand(self.matrix)

    def describe(self) -> str:
        """The effective settings, one `key = value  # from where` a line.

        Returns:
            TOML that is itself a profile: saved to a file it gives these settings again, except that the secrets in
            addresses are left out.
        """
        lines = [f"# profile {format_value(self.profile)}"]
        for path, value in _leaves(self.model_dump(mode="json", exclude={"profile"})):
            has_secrets = holds_locations(find(schema(), path) or {})
            text = format_value(_printable(value) if has_secrets else value)
            lines.append(f"{format_key(path)} = {text}  # {self._origins.get(path, DEFAULT)}")
        return scrubbed("\n".join(lines))


@cache
def schema() -> Node:
    """The JSON schema of the settings with its references put in place; forms are made from it.

    Returns:
        JSON schema, draft 2020-12. Every key has a description with its unit.
    """
    return inlined(Settings.model_json_schema())


def disagreements(parts: Mapping[str, object]) -> list[tuple[KeyPath, str]]:
    """Checks the rules that hold between parts.

    Args:
        parts: parts by name; a part that is missing is not checked.

    Returns:
        Key and fault of each rule that is broken.
    """
    calibration, evaluation = parts.get("calibration"), parts.get("evaluation")
    simulator = parts.get("simulator")
    problems = _unfit_toolchain(parts.get("toolchain"), parts.get("matrix"))
    if not isinstance(evaluation, EvaluationSettings):
        return problems
    if isinstance(calibration, CalibrationSettings) and (shared := _shared_images(calibration, evaluation)):
        problems.append((("calibration", "source"), f"may not hold images of the evaluation set: {shared}"))
    offered = _offered(evaluation)
    if isinstance(simulator, SimulatorSettings) and offered is not None and simulator.images > offered:
        problems.append((("simulator", "images"), f"{simulator.images} is more than the evaluation's {offered} images"))
    return problems


def _unfit_toolchain(toolchain: object, matrix: object) -> list[tuple[KeyPath, str]]:
    if not isinstance(toolchain, ToolchainSettings) or toolchain.name != "tpu-nntc":
        return []
    problems: list[tuple[KeyPath, str]] = []
    if toolchain.nntc.lacks is not None:
        instead = "or set toolchain.name to tpu-mlir, which is installed by itself"
        problems.append((("toolchain", "nntc"), f"{toolchain.nntc.lacks}; {instead}"))
    for variant in expand(matrix) if isinstance(matrix, tuple) else ():
        reason = not_made(variant)
        if reason is not None:
            problems.append((("matrix",), f"{variant.path} is not made by tpu-nntc: {reason}; tpu-mlir makes it"))
    return problems


def _shared_images(calibration: CalibrationSettings, evaluation: EvaluationSettings) -> str:
    """What is certainly in both sets; images are compared by digest when they are there."""
    ours, theirs = calibration.source, evaluation.source
    if isinstance(ours, CocoSource) and isinstance(theirs, CocoSource):
        return f"both are {ours.split}" if ours.split == theirs.split else ""
    if isinstance(ours, FolderSource) and isinstance(theirs, FolderSource):
        return ", ".join(str(folder) for folder in ours.folders if folder in theirs.folders)
    return ""


def _offered(evaluation: EvaluationSettings) -> int | None:
    source = evaluation.source
    counts = [evaluation.limit, getattr(source, "count", None), getattr(source, "candidates", None)]
    known = [count for count in counts if count is not None]
    return min(known) if known else None


def _leaves(table: Mapping[str, object], path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _printable(value: object) -> object:
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value
