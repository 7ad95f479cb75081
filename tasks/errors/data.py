"""Images and annotations that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.errors.base import TaskError


class DataError(TaskError):
    """Images or annotations cannot be used; whoever supplies the data has to act."""


class BadImage(DataError):
    """An image cannot be used for calibration or evaluation.

    Attributes:
        name: the file's name.
        reason: one word for it, fit for counting: ``unreadable``, ``CMYK``, ``16-bit`` or ``tiny``.
    """

    def __init__(self, name: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.reason = reason


class BadAnnotations(DataError):
    """An annotation file, or the images that it names, are not what they should be.

    Attributes:
        name: the annotation file, or the folder where images are missing.
        problems: the first problems found, in words.
        total: how many problems there are.
    """

    def __init__(self, name: str, problems: Sequence[str], total: int) -> None:
        more = f"\n  ... and {total - len(problems)} more" if total > len(problems) else ""
        listed = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(
            f"{name} has {total} problem{'' if total == 1 else 's'}:{listed}{more}\n"
            "It is cut short, damaged, or not in COCO's detection layout, or belongs to other images: correct the "
            "file, or name the right one."
        )
        self.name = name
        self.problems = tuple(problems)
        self.total = total


class NotEnoughImages(DataError):
    """Too few of the candidate images can be used for calibration.

    Attributes:
        asked: how many images the settings ask for.
        usable: how many can be used.
        candidates: how many there were.
        rejected: reason to number of images.
    """

    def __init__(self, asked: int, usable: int, candidates: int, rejected: Mapping[str, int]) -> None:
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(rejected.items(), key=lambda item: -item[1]))
        why = f"; rejected: {counts}" if counts else ""
        super().__init__(
            f"{asked} calibration images are asked for, but only {usable} of {candidates} candidates can be used{why}. "
            f"Add at least {asked - usable} usable images to the sources, or set the number of calibration images to "
            f"{usable} or less."
        )
        self.asked = asked
        self.usable = usable
        self.candidates = candidates
        self.rejected = dict(rejected)


class ImagesMissing(DataError):
    """A folder of images does not exist or holds none."""


class ImagesAmbiguous(DataError):
    """The same name stands for different images, or one image is described twice.

    Attributes:
        names: the names concerned.
    """

    def __init__(self, what: str, names: Sequence[str], advice: str) -> None:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        super().__init__(f"{what}: {', '.join(names[:5])}{more}. {advice}")
        self.names = tuple(names)


class CalibrationRefused(TaskError):
    """A calibration sample, or what the calibrator made of the samples, is not usable."""
