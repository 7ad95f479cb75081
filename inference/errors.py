"""The errors of the device side, one family for each party that has to act."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple


class InferenceError(Exception):
    """Root of every error that this package raises on purpose."""


class OptionError(InferenceError, ValueError):
    """An argument or an option is outside what it may be; the caller has to change it."""


class ImageError(InferenceError):
    """An image cannot be read or used; whoever supplies the images has to act.

    Attributes:
        path: The file, or None for an array in memory.
    """

    def __init__(self, message: str, path: Optional[Path] = None) -> None:
        super().__init__(message)
        self.path = path


class ModelError(InferenceError):
    """A model, its release or what it returns is not what it should be; rebuild or choose another.

    Attributes:
        path: The model's file or folder, or None where only its output is known.
    """

    def __init__(self, message: str, path: Optional[Path] = None) -> None:
        super().__init__(message)
        self.path = path


class EngineError(InferenceError):
    """An engine failed while it started or ran; look at its log.

    Attributes:
        log: The engine's log file, or None where it keeps none.
    """

    def __init__(self, message: str, log: Optional[Path] = None) -> None:
        super().__init__(message)
        self.log = log


class EngineNotFound(EngineError):
    """No engine, or not the one asked for, is installed on this machine; install it or name another."""


class OutputError(InferenceError):
    """A result cannot be written; free the disk or choose another folder.

    Attributes:
        path: The file or folder that could not be written.
    """

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class DeployError(InferenceError):
    """A release cannot be put to use on this device; the one in use stays. The message says what to do."""


class NoSuchVariant(DeployError):
    """A release has no model, or more than one, for what was asked.

    Attributes:
        fitting: Paths of the models that fit.
        available: Paths of all models that the release has.
    """

    def __init__(self, message: str, fitting: Tuple[str, ...], available: Tuple[str, ...]) -> None:
        super().__init__(message)
        self.fitting = fitting
        self.available = available


class NothingPulled(DeployError):
    """The device store holds no such release; pull it first.

    Attributes:
        root: The store.
    """

    def __init__(self, message: str, root: Path) -> None:
        super().__init__(message)
        self.root = root


class SelfTestFailed(DeployError):
    """What a model gives on this device is not what its release says that it gives.

    Attributes:
        model: Path of the model inside its release.
        head: ``heatmap``, ``size`` or ``offset``.
        difference: Largest absolute difference, in the head's own unit; NaN where the output is no number.
        tolerance: What was allowed.
    """

    def __init__(self, message: str, model: str, head: str, difference: float, tolerance: float) -> None:
        super().__init__(message)
        self.model = model
        self.head = head
        self.difference = difference
        self.tolerance = tolerance


class SourceError(InferenceError):
    """A video, a camera or a stream cannot be opened, or gives no frames any more; look at it or at the way to it.

    Attributes:
        source: Its name, without passwords.
    """

    def __init__(self, message: str, source: str) -> None:
        super().__init__(message)
        self.source = source


class AnnotationError(InferenceError):
    """Annotations cannot be used, or are for another model; whoever supplies them has to act.

    Attributes:
        path: The file, or None where only its content is known.
    """

    def __init__(self, message: str, path: Optional[Path] = None) -> None:
        super().__init__(message)
        self.path = path
