"""Of keys and signatures."""

from __future__ import annotations

from artifacts.errors.base import ArtifactError


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
