"""What is signed: that a release is what its publisher made, and which release a channel means.

A signature over a release says nothing about its age, so a registry in wrong hands could offer an old one for ever. A
channel's record has a serial that only grows; a device remembers the largest that it saw. Going back on purpose is a
record with a larger serial and an older digest.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional, Sequence, Type, TypeVar

from pydantic import Field, ValidationError

from artifacts import media
from artifacts.errors import NotSigned
from artifacts.oci import parse
from artifacts.schema import problems
from artifacts.signing import PublicKey, Signer, opened, sealed
from artifacts.store import Digest
from artifacts.variant import Record

# Exact in every JSON reader (RFC 8259, section 6).
MAX_SERIAL = 2**53 - 1
# datetime.UTC is newer than Python 3.8.
_UTC = timezone.utc  # noqa: UP017
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"


class ReleaseStatement(Record):
    """Its signer published this release."""

    repository: str = Field(min_length=1, max_length=200, description="name of the release's series, `release.name`")
    version: str = Field(min_length=1, max_length=200)
    digest: Digest = Field(description="of the release's index")


class ChannelRecord(Record):
    """Its signer means this release by a channel."""

    channel: str = Field(min_length=1, max_length=64)
    repository: str = Field(min_length=1, max_length=200, description="as in the release's statement")
    serial: int = Field(ge=1, le=MAX_SERIAL, strict=True, description="grows with every record of this channel")
    digest: Digest = Field(description="of the release's index")
    expires: Optional[str] = Field(default=None, pattern=_TIME_PATTERN, description="UTC; None means never")

    @property
    def expiry(self) -> Optional[datetime]:
        """When it is no longer good, None when never."""
        return None if self.expires is None else read_time(self.expires)


_Signed = TypeVar("_Signed", ReleaseStatement, ChannelRecord)
_TYPES = {ReleaseStatement: media.RELEASE_STATEMENT, ChannelRecord: media.CHANNEL_RECORD}


def written_time(moment: datetime) -> str:
    """Write a moment as a record has it: UTC, whole seconds.

    Args:
        moment: With its time zone.
    """
    return moment.astimezone(_UTC).strftime(_TIME)


def read_time(text: str) -> datetime:
    """Read what `written_time` writes.

    Raises:
        ValueError: There is no such date.
    """
    return datetime.strptime(text, _TIME).replace(tzinfo=_UTC)


def signed(record: Record, signers: Sequence[Signer], beside: Optional[bytes] = None) -> bytes:
    """Sign a release's statement or a channel's record.

    Args:
        record: What is signed.
        signers: Who signs.
        beside: An envelope that is there; its signatures over the same record are kept.

    Returns:
        The envelope.
    """
    return sealed(_TYPES[type(record)], record.to_json(), signers, beside)


def read_statement(envelope: bytes, keys: Sequence[PublicKey]) -> ReleaseStatement:
    """Verify and read a release's statement.

    Raises:
        NotSigned: No trusted key signed it, or it is no such statement.
        VerifierMissing: The package that verifies is not installed.
    """
    return _read(envelope, keys, ReleaseStatement)


def read_channel(envelope: bytes, keys: Sequence[PublicKey]) -> ChannelRecord:
    """Verify and read a channel's record.

    Raises:
        NotSigned: No trusted key signed it, or it is no such record.
        VerifierMissing: The package that verifies is not installed.
    """
    record = _read(envelope, keys, ChannelRecord)
    try:
        record.expiry  # noqa: B018  there is no 31st of February
    except ValueError as error:
        raise NotSigned(f"The signed record is not usable: {error}.") from error
    return record


def _read(envelope: bytes, keys: Sequence[PublicKey], model: Type[_Signed]) -> _Signed:
    payload = opened(envelope, _TYPES[model], keys).payload
    try:
        return model.model_validate(parse(payload, "a signed record"))
    except ValidationError as error:
        raise NotSigned(f"The signed record is not usable: {problems(error)}.") from error
