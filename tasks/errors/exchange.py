"""Machines that build together: what they hand over to each other, and what each has of its own."""

from __future__ import annotations

from tasks.errors.base import TaskError
from tasks.errors.toolchain import ToolchainError


class ExchangeError(TaskError):
    """Bytes or results cannot be handed over between machines.

    Attributes:
        place: the exchange: a folder, or a repository on a server.
    """

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


class ExchangeUnreachable(ExchangeError):
    """The exchange cannot be read or written, and waiting did not help.

    Attributes:
        reason: what was found.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            place,
            f"The exchange {place}, where machines hand over what they made, cannot be used: {reason.rstrip('.')}. "
            "Bring it back (is the folder mounted, does the server run, may this user write there?), then run the "
            "build again: it goes on where it stopped.",
        )
        self.reason = reason


class NotInExchange(ExchangeError):
    """Bytes are neither in this machine's store nor in the exchange.

    Attributes:
        digest: which.
    """

    def __init__(self, place: str, digest: str) -> None:
        super().__init__(
            place,
            f"{digest} is neither in this machine's store nor in the exchange {place}. It was removed there since it "
            "was handed over. Run the build again: whichever machine still has it hands it over again, and else it is "
            "made again.",
        )
        self.digest = digest


class DamagedInExchange(ExchangeError):
    """What the exchange holds under a digest is something else; it was not used.

    Attributes:
        digest: which.
        reason: what is wrong with it.
    """

    def __init__(self, place: str, digest: str, reason: str, advice: str) -> None:
        super().__init__(
            place,
            f"{digest} as it lies in the exchange {place} is damaged and was not used: {reason.rstrip('.')}. {advice}",
        )
        self.digest = digest
        self.reason = reason


class ToolchainDiffers(ToolchainError):
    """A machine's compiler is not the one that the build began with.

    Attributes:
        expected: fingerprint of the one that the build began with.
        found: fingerprint of the one that stands on this machine.
    """

    def __init__(self, name: str, expected: str, found: str, root: str) -> None:
        super().__init__(
            f"The {name} in {root} has the fingerprint {found}; the build began with one that has {expected}. Their "
            "packages differ, so that their results may. Remove the environment on the machine where it is wrong: it "
            "is made anew from the project's list of versions."
        )
        self.expected = expected
        self.found = found
