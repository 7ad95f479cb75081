"""The build as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.errors.base import TaskError


class KeyFailure(TaskError):
    """The cache key of a step cannot be made; the step is not run without one."""


class GateFailed(TaskError):
    """Variants miss the thresholds, so nothing was published.

    Attributes:
        failures: variant label to reasons.
        report: where the report lies.
        kept: the folder where all bmodels of the build are kept for inspection.
    """

    def __init__(self, failures: Mapping[str, Sequence[str]], report: Path, kept: Path) -> None:
        count = "1 variant" if len(failures) == 1 else f"{len(failures)} variants"
        listing = "; ".join(f"{variant}: {', '.join(reasons)}" for variant, reasons in failures.items())
        super().__init__(
            f"{count} did not pass the gate, so nothing was published. {listing}. The bmodels are kept in {kept}; the "
            f"report {report} names the worst images. Measure on more images where that is asked for; else improve the "
            "calibration, or change `gate` in the settings."
        )
        self.failures = {variant: tuple(reasons) for variant, reasons in failures.items()}
        self.report = report
        self.kept = kept


class NotEnoughSpace(TaskError):
    """The disk has less free space than the build takes; said before it starts.

    Attributes:
        folder: where the space is needed.
        needed: bytes.
        free: bytes.
    """

    def __init__(self, folder: Path, needed: int, free: int) -> None:
        super().__init__(
            f"The build needs about {needed / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB free. Make space there, or "
            "name another folder by `--set store.path=FOLDER`."
        )
        self.folder = folder
        self.needed = needed
        self.free = free


class FolderNotOurs(TaskError):
    """A folder that a build would replace is, or may be, somebody else's; nothing in it was touched.

    Attributes:
        folder: which.
    """

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"The bmodels of tpu-nntc would go to {folder}, in place of what is there, but {reason}. Nothing was "
            "touched. Name another place by `--set release.folder=FOLDER`, whose neighbour `nntc` it is, or move away "
            "what is there."
        )
        self.folder = folder
