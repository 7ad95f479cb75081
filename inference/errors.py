"""The errors of the device side, one family for each party that has to act."""

from __future__ import annotations

from pathlib import Path
from typing import Optional


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
