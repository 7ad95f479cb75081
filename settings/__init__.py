"""Typed, frozen settings: read from a profile, the environment and the command line, checked before anything starts."""

from __future__ import annotations

from settings.errors import Problem, SettingsError
from settings.gate import CosineFloors, GateSettings, HeadFloors
from settings.load import known_profiles, load_settings
from settings.matrix import MatrixRow, SimulatorSettings, expand
from settings.model import Settings, schema
from settings.quantize import Attempt, QuantizeSettings, Recipe
from settings.sections import (
    CalibrationSettings,
    Curation,
    EvaluationSettings,
    NetworkSettings,
    PreprocessSettings,
    ProtocolSettings,
    ReleaseSettings,
    StoreSettings,
    TimeoutSettings,
    ToolchainSettings,
)
from settings.sources import CocoSource, FileSource, FolderSource, GeneratedSource, LabelledFolderSource

__all__ = [
    "Attempt",
    "CalibrationSettings",
    "CocoSource",
    "CosineFloors",
    "Curation",
    "EvaluationSettings",
    "FileSource",
    "FolderSource",
    "GateSettings",
    "GeneratedSource",
    "HeadFloors",
    "LabelledFolderSource",
    "MatrixRow",
    "NetworkSettings",
    "PreprocessSettings",
    "Problem",
    "ProtocolSettings",
    "QuantizeSettings",
    "Recipe",
    "ReleaseSettings",
    "Settings",
    "SettingsError",
    "SimulatorSettings",
    "StoreSettings",
    "TimeoutSettings",
    "ToolchainSettings",
    "expand",
    "known_profiles",
    "load_settings",
    "schema",
]
