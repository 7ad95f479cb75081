"""What can go wrong in a step of the pipeline.

A message says what happened, what most likely caused it and what to do next; the facts are attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path


class TaskError(Exception):
    """Root of every failure that a step reports on purpose."""

    def __reduce__(self) -> tuple[Callable[..., TaskError], tuple[object, ...]]:
        # An exception is rebuilt from its arguments by default, which are not those of our constructors.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[TaskError], args: tuple[object, ...], facts: dict[str, object]) -> TaskError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class UnknownNetwork(TaskError):
    """No network of that name can be built.

    Attributes:
        name: what was asked for.
        known: the names that exist.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"no network is called {name!r}; known: {', '.join(known)}. Correct network.name in the profile."
        )
        self.name = name
        self.known = tuple(known)


class CheckpointError(TaskError):
    """A checkpoint cannot be read, or does not fit its network.

    Attributes:
        path: the file.
        problems: kind of misfit to the entries that have it, all of them; the message names the first ten of each.
    """

    def __init__(
        self, path: Path, what: str, advice: str, *, problems: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        found = {kind: tuple(entries) for kind, entries in (problems or {}).items() if entries}
        listed = "".join(
            f"\n  {len(entries)} {kind}: {', '.join(entries[:10])}"
            + (f" and {len(entries) - 10} more" if len(entries) > 10 else "")
            for kind, entries in found.items()
        )
        super().__init__(f"{path} {what}{':' if listed else '.'}{listed}{chr(10) if listed else ' '}{advice}")
        self.path = path
        self.problems = found


class ToolchainError(TaskError):
    """Something is wrong with the compiler, its environment, or what it made of its inputs."""


class ProvisionFailed(ToolchainError):
    """The compiler's environment could not be made.

    Attributes:
        log_path: the installer's log, None where none was written.
    """

    def __init__(self, message: str, log_path: Path | None = None) -> None:
        super().__init__(message + (f" Log: {log_path}." if log_path else ""))
        self.log_path = log_path


class CommandError(ToolchainError):
    """A command of the compiler did not do its work.

    Attributes:
        command: short name of the command.
        log_path: its log, both streams.
    """

    def __init__(self, command: str, message: str, log_path: Path, diagnosis: tuple[str, str] | None = None) -> None:
        reason = f" {diagnosis[0]} {diagnosis[1]}" if diagnosis else " The log's end is not one of the known failures."
        super().__init__(f"{command}: {message}{reason} Log: {log_path}.")
        self.command = command
        self.log_path = log_path
        self.diagnosis = diagnosis


class CommandFailed(CommandError):
    """A command exited with a status other than 0.

    Attributes:
        argv: the command line.
        status: its exit status.
    """

    def __init__(
        self, command: str, argv: Sequence[str], status: int, log_path: Path, diagnosis: tuple[str, str] | None
    ) -> None:
        super().__init__(command, f"{argv[0]} exited with status {status}.", log_path, diagnosis)
        self.argv = tuple(argv)
        self.status = status


class CommandTimedOut(CommandError):
    """A command was ended at its time limit, with every process that it had started.

    Attributes:
        argv: the command line.
        timeout_s: the limit in seconds.
    """

    def __init__(self, command: str, argv: Sequence[str], timeout_s: float, log_path: Path) -> None:
        cause = "It hung, or this machine is slower than the limit allows."
        advice = (cause, "Raise its limit in `toolchain.timeouts`.")
        super().__init__(command, f"{argv[0]} was still running after {timeout_s:g} s and was ended.", log_path, advice)
        self.argv = tuple(argv)
        self.timeout_s = timeout_s


class OutputMissing(CommandError):
    """A command exited with 0 and left nothing, or an empty file, where a result must be.

    Attributes:
        pattern: what was looked for.
    """

    def __init__(
        self, command: str, argv: Sequence[str], pattern: str, log_path: Path, diagnosis: tuple[str, str] | None
    ) -> None:
        super().__init__(command, f"{argv[0]} exited with status 0 but left no {pattern}.", log_path, diagnosis)
        self.pattern = pattern


class OutputAmbiguous(ToolchainError):
    """A command left several files where one was expected.

    Attributes:
        found: their names.
    """

    def __init__(self, command: str, pattern: str, found: Sequence[str]) -> None:
        super().__init__(
            f"{command}: {len(found)} files match {pattern} ({', '.join(found)}), one was expected. The compiler "
            "changed its names: correct the plan in tasks/toolchain/command.py for this release."
        )
        self.found = tuple(found)


class ResultRefused(ToolchainError):
    """The compiler's result is not what was asked for, though it exited with 0."""


class GraphError(ToolchainError):
    """A structural rule found nothing in the graph, or something other than it expects."""


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
            f"report {report} names the worst images. Improve the calibration, or change `gate` in the settings."
        )
        self.failures = {variant: tuple(reasons) for variant, reasons in failures.items()}
        self.report = report
        self.kept = kept


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


class TraceError(TaskError):
    """The network cannot be traced, or its trace is not the network."""


class CalibrationRefused(TaskError):
    """A calibration sample, or what the calibrator made of the samples, is not usable."""


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
