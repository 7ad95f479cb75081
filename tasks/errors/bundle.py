"""One file that takes everything to a machine without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.errors.base import TaskError

_SHOWN = 10


class BundleError(TaskError):
    """A bundle cannot be made or used."""


class BundleNotMade(BundleError):
    """What belongs in a bundle is not to be had; no file was written."""


class BundleRefused(BundleError):
    """A bundle is damaged, is no bundle, or does not fit this machine; nothing of it is used.

    Attributes:
        path: the file.
        reasons: what is wrong, all that was found.
    """

    def __init__(self, path: Path, reasons: Sequence[str], advice: str = "Copy it again, or make it anew.") -> None:
        shown = "; ".join(reasons[:_SHOWN])
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        super().__init__(f"{path} cannot be used: {shown}{more}. {advice}")
        self.path = path
        self.reasons = tuple(reasons)
