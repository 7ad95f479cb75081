"""What can go wrong in a step of the pipeline, in families by who must act.

A message says what happened, what most likely caused it and what to do next; the facts are attributes.
"""

from __future__ import annotations

from tasks.errors.base import TaskError
from tasks.errors.build import GateFailed, KeyFailure, NotEnoughSpace
from tasks.errors.data import (
    BadAnnotations,
    BadImage,
    CalibrationRefused,
    DataError,
    ImagesAmbiguous,
    ImagesMissing,
    NotEnoughImages,
)
from tasks.errors.download import (
    BadLockFile,
    DigestMismatch,
    DigestUnknown,
    DownloadError,
    DownloadsFailed,
    DownloadStopped,
    FailureKind,
    MirrorFailure,
    NoSpaceForDownload,
    SourceMissing,
    SourceUnavailable,
    TargetUnusable,
)
from tasks.errors.network import CheckpointError, TraceError, UnknownNetwork
from tasks.errors.toolchain import (
    CommandError,
    CommandFailed,
    CommandTimedOut,
    GraphError,
    OutputAmbiguous,
    OutputMissing,
    ProvisionFailed,
    ResultRefused,
    ToolchainError,
)

__all__ = [
    "BadAnnotations",
    "BadImage",
    "BadLockFile",
    "CalibrationRefused",
    "CheckpointError",
    "CommandError",
    "CommandFailed",
    "CommandTimedOut",
    "DataError",
    "DigestMismatch",
    "DigestUnknown",
    "DownloadError",
    "DownloadStopped",
    "DownloadsFailed",
    "FailureKind",
    "GateFailed",
    "GraphError",
    "ImagesAmbiguous",
    "ImagesMissing",
    "KeyFailure",
    "MirrorFailure",
    "NoSpaceForDownload",
    "NotEnoughImages",
    "NotEnoughSpace",
    "OutputAmbiguous",
    "OutputMissing",
    "ProvisionFailed",
    "ResultRefused",
    "SourceMissing",
    "SourceUnavailable",
    "TargetUnusable",
    "TaskError",
    "ToolchainError",
    "TraceError",
    "UnknownNetwork",
]
