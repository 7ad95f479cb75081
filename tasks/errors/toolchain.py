"""The compiler, its environment, and what it made of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.errors.base import TaskError


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


_WHENCE = (
    "It is in no package index: download the archive tpu-nntc_vX.Y.Z-HASH-DATE.tar.gz from the vendor's site "
    "(sophgo.com, the SDK's material), unpack it, pull the image that it names (sophgo/tpuc_dev:v2.1 for 3.1), and "
    "name both in `toolchain.nntc`."
)


class ToolchainMissing(ToolchainError):
    """tpu-nntc is not where the settings say, or does not work there; nothing fetches it.

    Attributes:
        log_path: what it said when it was started, None where it was not.
    """

    def __init__(self, reason: str, log_path: Path | None = None, *, way_out: str = _WHENCE) -> None:
        super().__init__(
            f"tpu-nntc cannot be used: {reason}. {way_out} docs/toolchains.md tells what is needed. Or set "
            "`toolchain.name` to tpu-mlir, which is installed by itself and makes every chip's models."
            + (f" Log: {log_path}." if log_path else "")
        )
        self.log_path = log_path


class WrongToolchain(ToolchainError):
    """The settings name another compiler than the command builds with."""

    def __init__(self, named: str, command: str) -> None:
        super().__init__(
            f"`toolchain.name` is {named}, which this command does not build with: nothing was started. Run "
            f"{command}, or set `toolchain.name` to the other compiler (docs/toolchains.md says which one for which "
            "chip)."
        )


class ToolchainDecayed(ToolchainError):
    """Files of the compiler are not what was installed.

    Attributes:
        paths: which.
    """

    def __init__(self, name: str, problems: Sequence[tuple[Path, str]]) -> None:
        path, reason = problems[0]
        super().__init__(
            f"{name} is not what was installed: {len(problems)} of its files have changed, such as {path} ({reason}). "
            "Something else wrote to it, or the disk is failing. Nothing was made with it. Run the build again: it is "
            "installed anew."
        )
        self.paths = tuple(path for path, _ in problems)


class IndexFailed(ToolchainError):
    """The package index gave no release of the compiler."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The package index gave no release of the compiler that this machine could use. The installer says: "
            f"{reason}. Look at the installer's own settings (index, local folders), which are read as for any package."
        )


class IndexUnreachable(ToolchainError):
    """The package index did not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The package index could not be asked for the compiler's releases: {reason}. Nothing was built or "
            "published. Check the network and the installer's own settings (proxy, index), or try again later."
        )


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
