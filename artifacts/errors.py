"""Errors of the artifact side, in families by who must act.

Every message says what happened, the likely cause and what to do next; the facts are attributes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional, Sequence, Union


class ArtifactError(Exception):
    """Root of everything that this package raises on purpose."""


class BadDigest(ArtifactError, ValueError):
    """A text that should be a digest is not one."""

    # A ValueError too, so that pydantic reports it among a record's other problems.

    def __init__(self, text: object) -> None:
        self.text = text
        super().__init__(
            f"{str(text)[:120]!r} is not a digest. A digest is 'sha256:' followed by 64 lower-case hexadecimal digits."
        )


class LockTimeout(ArtifactError):
    """Another process kept a lock for longer than the caller was willing to wait."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.path = path
        self.timeout_s = timeout_s
        super().__init__(
            f"The lock {path} was not free within {timeout_s:g} s. Another process is still working there: "
            "wait for it to end (a killed process frees its lock by itself), then try again."
        )


class StoreError(ArtifactError):
    """Something is wrong with stored bytes or with the place where they are stored."""


# How bytes come back to a store that lost them, unless its owner knows better.
MAKE_AGAIN = "make it again or fetch it again"


class MissingBlob(StoreError):
    """The store has no bytes under this digest."""

    def __init__(self, digest: str, path: Path, advice: str = MAKE_AGAIN) -> None:
        self.digest = digest
        self.path = path
        super().__init__(
            f"The store has no {digest} (looked for {path}). It was never stored here, or was removed by hand: "
            f"{advice}."
        )


class DamagedBlob(StoreError):
    """Stored bytes are no longer what their name says."""

    def __init__(
        self, digest: str, path: Path, reason: str, quarantined: Optional[Path] = None, advice: str = MAKE_AGAIN
    ) -> None:
        self.digest = digest
        self.path = path
        self.reason = reason
        self.quarantined = quarantined
        where = f"The damaged file was moved to {quarantined}" if quarantined else f"They lie in {path}"
        super().__init__(
            f"The stored bytes of {digest} are damaged: {reason}. {where}. Something else wrote to the file, or the "
            f"disk is failing: {advice}."
        )


class NoSpace(StoreError):
    """The file system is full, or a quota is reached."""

    def __init__(self, path: Path, free_bytes: Optional[int]) -> None:
        self.path = path
        self.free_bytes = free_bytes
        free = "an unknown amount" if free_bytes is None else f"{free_bytes / 1e6:.1f} MB"
        super().__init__(
            f"No space left while writing below {path}: {free} is free there (a quota may allow less). Nothing "
            "half-written was left behind. Free some space or choose a root on another file system, then run again."
        )


class StoreNotWritable(StoreError):
    """The place cannot be written: a read-only file system or missing permission."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"Cannot write below {path}: {reason}. Choose a folder that this user may write, on a file system that is "
            "not mounted read-only, or change its owner."
        )


class DiskFailed(StoreError):
    """The disk itself does not do what it should."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"The disk failed below {path}: {reason}. It is broken, or was taken away while it was in use: look into "
            "the kernel's log, then run again on a sound one. What was finished before is checked before it is used."
        )


class FolderInTheWay(StoreError):
    """A folder lies where a file should be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} is a folder and should be a file: something else made it, or the disk is failing. Move it away, "
            "then run again."
        )


class BmodelError(ArtifactError):
    """A file is not a sound bmodel."""

    def __init__(self, reason: str, path: Optional[Path] = None) -> None:
        self.reason = reason
        self.path = path
        where = f"{path} is not a sound bmodel" if path else "Not a sound bmodel"
        super().__init__(
            f"{where}: {reason}. It was cut short, changed, or made for another tool: compile or fetch it again."
        )


class ReleaseError(ArtifactError):
    """A release record cannot be used."""


class NewerSchema(ReleaseError):
    """The record was written by a newer generation of this program."""

    def __init__(self, found: str, supported: str) -> None:
        self.found = found
        self.supported = supported
        super().__init__(
            f"The release record has schema {found}; this program understands {supported}. The release was made by "
            "a newer version: update this program, or choose an older release."
        )


class BadRecord(ReleaseError):
    """The record is no JSON, or a field is missing or wrong."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The release record cannot be read: {reason}. Fetch the release again, or publish it again.")


class BadVariant(ReleaseError, ValueError):
    """A combination of chip, precision, batch and cores that does not exist."""

    # A ValueError too, for the same reason as BadDigest.


class RegistryError(ArtifactError):
    """A registry layout cannot be read or changed as asked."""


class LayoutError(RegistryError):
    """The layout, a manifest in it or a title is not acceptable."""


class UnknownTag(RegistryError):
    """Nothing in the layout or on the server has this tag or digest."""

    def __init__(self, ref: str, layout: Union[Path, str], known: tuple[str, ...] = ()) -> None:
        self.ref = ref
        self.layout = layout
        self.known = known
        listed = ", ".join(known[:20]) if known else "none"
        super().__init__(f"{layout} has nothing named {ref!r}. Tags there: {listed}. Choose one, or publish first.")


class TagExists(RegistryError):
    """A version tag already names other content."""

    def __init__(self, tag: str, existing: str, wanted: str) -> None:
        self.tag = tag
        self.existing = existing
        self.wanted = wanted
        super().__init__(
            f"The tag {tag!r} already names {existing} and cannot be moved to {wanted}: published versions never "
            "change. Publish under a new version; only channels (latest, stable) move."
        )


class ReleaseInUse(RegistryError):
    """A version was to be removed that a channel names."""

    def __init__(self, version: str, channels: Sequence[str]) -> None:
        self.version, self.channels = version, tuple(channels)
        named = " and ".join(self.channels)
        super().__init__(f"{named} is the release {version}, so it stays. Move {named} to another release first.")


class BadReference(ArtifactError, ValueError):
    """A text that should name a release in a registry does not."""

    def __init__(self, text: str, reason: str) -> None:
        # Somebody who writes user:password@host must not find the password in a log.
        self.text = re.sub(r"(?:^|(?<=[/@]))[^/@]+@(?!sha256:)", "***@", text)
        self.reason = reason
        super().__init__(
            f"{self.text[:300]!r} names no release in a registry: {reason}. Write, for example, "
            "oci:FOLDER:1.0.0 for a layout on this machine, registry.example.com/models/centernet:stable for a server, "
            "or either with @sha256:<64 hex> in place of the tag."
        )


class AccessProblem(RegistryError):
    """What was configured for reaching a registry (credentials, certificate file) cannot be used."""


class RegistryUnreachable(RegistryError):
    """The registry does not answer, or not in time; trying again later may help."""

    def __init__(self, registry: str, reason: str, advice: str = "Check the name, the network and the server") -> None:
        self.registry = registry
        self.reason = reason
        super().__init__(
            f"{registry} could not be reached: {reason}. {advice}, then run this again: it goes on where it stopped."
        )


class RegistryRefused(RegistryError):
    """The registry answered, and will not do what was asked of it."""

    def __init__(self, registry: str, reason: str, advice: str, status: Optional[int] = None) -> None:
        self.registry = registry
        self.reason = reason
        self.status = status
        super().__init__(f"{registry} refused: {reason}. {advice}.")


class RegistryMisbehaved(RegistryError):
    """The registry sent what cannot be right; nothing of it was kept."""

    def __init__(self, registry: str, reason: str, advice: str = "") -> None:
        self.registry = registry
        self.reason = reason
        advice = advice or (
            "Something between here and there changes what is sent, or the server's copy is damaged: try another "
            "network, or publish the release again"
        )
        super().__init__(f"{registry} sent something wrong: {reason}. {advice}.")


class CertificateProblem(RegistryError):
    """The registry's certificate is not acceptable."""

    def __init__(self, registry: str, reason: str, advice: str) -> None:
        self.registry = registry
        self.reason = reason
        super().__init__(f"The certificate of {registry} cannot be trusted: {reason}. {advice}.")


class NoRoom(NoSpace):
    """There is too little space for what is about to be written; found out before the first byte."""

    def __init__(self, path: Path, needed: int, free_bytes: int) -> None:
        super().__init__(path, free_bytes)
        self.needed = needed
        self.args = (
            f"{needed / 1e6:.1f} MB are needed below {path}, but {free_bytes / 1e6:.1f} MB are free. Nothing was "
            "written. Free some space or choose a folder on another file system, then run again.",
        )


class GateNotPassed(RegistryError):
    """A channel was to be moved to a release that did not pass its gate."""

    def __init__(self, version: str, failed: Sequence[str]) -> None:
        self.version = version
        self.failed = tuple(failed)
        super().__init__(
            f"The release {version} may not become a channel: {', '.join(self.failed[:10])} did not pass the gate. "
            "Publish it under its version only, or build a release that passes."
        )


class SignatureError(ArtifactError):
    """A signature does not vouch for what is there; nothing of it is put to use."""


class BadKey(SignatureError):
    """A file that should hold a key cannot be used."""


class NotSigned(SignatureError):
    """There is no signature, or none by a key that is trusted here."""


class WrongSubject(SignatureError):
    """What is signed is sound, but is about something else than what was asked for."""


class RolledBack(SignatureError):
    """A channel's record is older than one that was seen before, or contradicts it."""


class RecordExpired(SignatureError):
    """A channel's record is past its date."""


class VerifierMissing(SignatureError):
    """The package that verifies signatures is not installed."""
