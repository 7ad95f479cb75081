"""Of registries, on this machine and on servers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional, Sequence, Union

from artifacts.errors.base import ArtifactError
from artifacts.errors.store import NoSpace


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
