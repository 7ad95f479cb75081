"""Sources that do not give their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from tasks.errors.base import TaskError


class DownloadError(TaskError):
    """A source could not be brought here.

    Attributes:
        transient: True when the same request may succeed later, so that trying again makes sense.
    """

    transient: bool = False


class FailureKind(StrEnum):
    """Why one mirror failed: what decides whether it is asked again, and what the reader is advised to do."""

    PASSING = "passing"
    MISSING = "missing"
    REFUSED = "refused"
    WRONG_BYTES = "wrong bytes"
    UNSAFE = "unsafe"
    TOOL = "tool"


class MirrorFailure(DownloadError):
    """One mirror failed, once; every mirror's last one is listed in `SourceUnavailable`.

    Attributes:
        kind: why, in one of the known ways. Only a passing failure is tried again at the same mirror.
        reason: what happened, without secrets.
        mirror: the mirror's address, without secrets; filled in by whoever knows it.
        retry_after_s: seconds that the server asked us to wait.
        discard: the bytes received so far cannot be built upon.
    """

    def __init__(
        self, kind: FailureKind, reason: str, *, retry_after_s: float | None = None, discard: bool = False
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.mirror = ""
        self.retry_after_s = retry_after_s
        self.discard = discard
        self.transient = kind is FailureKind.PASSING


_ADVICE = {
    FailureKind.PASSING: "Is the network up? Run again: what has arrived is kept.",
    FailureKind.MISSING: "Was it moved? Give another mirror, or a local file or folder, as the source.",
    FailureKind.REFUSED: "Give another mirror, or a local file or folder, as the source.",
    FailureKind.WRONG_BYTES: "The file at the source was replaced, or something on the way changed it. Give a mirror "
    "that has the expected bytes; correct the expected digest only if the change is known and meant.",
    FailureKind.UNSAFE: "Do not use this archive; give the file itself, or another archive, as the source.",
    FailureKind.TOOL: "Give another mirror, or download it by hand and give the local file as the source.",
}


class SourceUnavailable(DownloadError):
    """Every mirror of a source failed.

    Attributes:
        name: the source's name.
        failures: the last failure of each mirror, in the order in which they were asked.
    """

    def __init__(self, name: str, failures: Sequence[MirrorFailure], detail: str = "") -> None:
        kinds = list(dict.fromkeys(failure.kind for failure in failures))
        reasons = "; ".join(f"{failure.mirror}: {failure.reason}" for failure in failures)
        advice = " ".join(_ADVICE[kind] for kind in kinds)
        super().__init__(f"{name} could not be had from any of its mirrors. {reasons}. {detail}{advice}")
        self.name = name
        self.failures = tuple(failures)
        self.transient = FailureKind.PASSING in kinds or FailureKind.TOOL in kinds


class SourceMissing(SourceUnavailable):
    """Every mirror says that it has no such thing."""


class DigestMismatch(SourceUnavailable):
    """Every mirror gave other bytes than those expected."""


def unavailable(name: str, failures: Sequence[MirrorFailure], expected: str = "") -> SourceUnavailable:
    """Make the error for a source of which every mirror failed.

    Args:
        name: the source's name.
        failures: the last failure of each mirror.
        expected: a sentence on who says what the bytes should be, told where all mirrors have other ones.
    """
    kinds = {failure.kind for failure in failures}
    if kinds == {FailureKind.MISSING}:
        return SourceMissing(name, failures)
    if kinds == {FailureKind.WRONG_BYTES}:
        return DigestMismatch(name, failures, expected)
    return SourceUnavailable(name, failures)


class DigestUnknown(DownloadError):
    """Nobody said what the bytes should be, so whatever came would be believed.

    Attributes:
        names: the sources without a digest.
    """

    def __init__(self, names: Sequence[str]) -> None:
        first = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        super().__init__(
            f"no digest is known for {first}, so the bytes could not be checked. Give the source a digest, or ask for "
            "it to be recorded in the lock file on first use, from a network that you trust."
        )
        self.names = tuple(names)


class BadLockFile(DownloadError):
    """The lock file of recorded digests cannot be read.

    Attributes:
        path: the lock file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} is not a lock file that this version can read: {reason}. Was it edited, or merged by hand? "
            "Restore it from version control; deleting it forgets every recorded digest."
        )
        self.path = path


class NoSpaceForDownload(DownloadError):
    """The disk cannot hold what is to come.

    Attributes:
        path: where it was to be written.
        needed_bytes: bytes still to be written; None when that is not known.
        free_bytes: bytes free when last looked.
    """

    def __init__(self, path: Path, needed_bytes: int | None, free_bytes: int | None) -> None:
        needed = "more space" if needed_bytes is None else f"{needed_bytes:,} bytes"
        free = "the disk is full" if free_bytes is None else f"{free_bytes:,} bytes are free"
        super().__init__(
            f"no space for {path}: {needed} needed, {free}. What has arrived is kept; free some space and run again."
        )
        self.path = path
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class TargetUnusable(DownloadError):
    """The place where a download should go cannot be read or written.

    Attributes:
        path: that place.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot use {path}: {reason}. Check the owner and the rights of its folder.")
        self.path = path


class DownloadStopped(DownloadError):
    """Time ran out, or the download was called off, before it was done.

    Attributes:
        reason: which of the two.
    """

    transient = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"the download was stopped: {reason}. What has arrived is kept; run again to go on.")
        self.reason = reason


class DownloadsFailed(DownloadError):
    """Some files of a list could not be had; the others are in place.

    Attributes:
        total: how many were asked for.
        failures: name and error of each that failed, in the order of the list.
        not_tried: how many were left alone because nothing answered any more.
    """

    def __init__(self, total: int, failures: Sequence[tuple[str, DownloadError]], not_tried: int) -> None:
        shown = " | ".join(str(error) for _, error in failures[:3])
        rest = f" {not_tried} more were not tried, as nothing answered." if not_tried else ""
        super().__init__(
            f"{len(failures)} of {total} downloads failed.{rest} First: {shown} The others are in place; running again "
            "fetches only what is missing."
        )
        self.total = total
        self.failures = tuple(failures)
        self.not_tried = not_tried
        self.transient = all(error.transient for _, error in failures)
