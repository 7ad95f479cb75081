"""Signing releases, and moving channels to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import NamedTuple

from artifacts import media
from artifacts.attachments import Place, read_envelope
from artifacts.errors import GateNotPassed, LayoutError, NotSigned, SignatureError, WrongSubject
from artifacts.export import ReleaseFiles
from artifacts.layout_tags import channel_tag, signature_tag
from artifacts.oci import MAX_MANIFEST_BYTES, parse, read_index, read_manifest
from artifacts.registry import Registry
from artifacts.release import MAX_RECORD_BYTES, ReleaseRecord
from artifacts.remote.push import failed_variants
from artifacts.signing import PublicKey, Signer
from artifacts.statements import ChannelRecord, ReleaseStatement, read_channel, read_statement, signed, written_time


class Subject(NamedTuple):
    """A release as it lies in a registry, read and checked.

    Attributes:
        digest: The index's.
        index_json: Its bytes.
        manifests: Chip to the bytes of its manifest.
        record: The release record.
    """

    digest: str
    index_json: bytes
    manifests: Mapping[str, bytes]
    record: ReleaseRecord

    @property
    def statement(self) -> ReleaseStatement:
        """What a signature over it says."""
        return ReleaseStatement(repository=self.record.name, version=self.record.version, digest=self.digest)


class Promoted(NamedTuple):
    """What moving a channel did.

    Attributes:
        subject: The release.
        serial: Of the channel's record, None where it is not signed.
        changed: Whether there is a new record.
    """

    subject: Subject
    serial: int | None
    changed: bool


class _Found(NamedTuple):
    """A channel's record as it is there."""

    envelope: bytes
    record: ChannelRecord


def subject_at(registry: Registry, name: str) -> Subject:
    """Read a release.

    Args:
        registry: Where.
        name: Its tag or digest.

    Raises:
        UnknownTag: Nothing there has this name.
        LayoutError: It is no whole release, or inconsistent.
        RegistryError: The registry cannot be read.
        ReleaseError: Its record cannot be used.
    """
    digest, index = registry.resolve(name)
    if parse(index, "an index").get("mediaType") != media.INDEX:
        raise LayoutError(f"{name!r} is no whole release: name the release, by its version or digest.")
    manifests = {child.chip: registry.read(child.blob, MAX_MANIFEST_BYTES) for child in read_index(index)}
    files = ReleaseFiles.of([read_manifest(data, chip) for chip, data in manifests.items()])
    record = ReleaseRecord.from_json(registry.read(files.record, MAX_RECORD_BYTES))
    files.checked_against(record)
    return Subject(digest, index, manifests, record)


def sign_release(place: Place, subject: Subject, signers: Sequence[Signer]) -> bool:
    """Sign a release; signatures by other keys stay beside the new one. Safe to run again.

    Args:
        place: Where it lies.
        subject: The release.
        signers: Who signs.

    Returns:
        Whether anything was written.

    Raises:
        RegistryError: The registry cannot be read or written.
        StoreError: The folder cannot be written.
    """
    tag = signature_tag(subject.digest)
    there = _readable(place, tag)
    envelope = signed(subject.statement, signers, there)
    if envelope == there:
        return False
    place.write(tag, envelope)
    return True


def promote(
    places: Sequence[Place],
    name: str,
    channel: str,
    *,
    signers: Sequence[Signer] = (),
    trusted: Sequence[PublicKey] = (),
    valid: timedelta | None = None,
    at_least: int | None = None,
    now: datetime,
) -> Promoted:
    """Let a channel mean a release: with keys by a new signed record, and for everybody by its plain tag.

    The serial is one more than the largest in the records that are there, so it never falls. Safe to run again: when
    the newest record says the same, it is kept.

    Args:
        places: Repositories that hold the release, all of which get the same record.
        name: Its tag or digest, in the first of them.
        channel: Which channel.
        signers: Who signs; none leaves the channel unsigned, which only one without a record may be.
        trusted: Whose signatures are believed beside the signers' own.
        valid: How long the record is good; None means for ever.
        at_least: The smallest serial to give. With it, a record that cannot be believed is replaced.
        now: The time, with its zone.

    Returns:
        What was done.

    Raises:
        GateNotPassed: A variant did not pass its gate.
        NotSigned: The release, or a record that is there, is not signed by a key that is believed.
        WrongSubject: What is signed there is about something else.
        RegistryError: A registry cannot be read or written.
        StoreError: A folder cannot be written.
    """
    keys = [*(signer.key for signer in signers), *trusted]
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(place.alone())
        subject = subject_at(places[0].registry, name)
        if failed_variants(subject.record):
            raise GateNotPassed(subject.record.version, failed_variants(subject.record))
        found = [_record_at(place, channel, subject, keys, strict=at_least is None) for place in places]
        serial, changed = None, False
        if signers:
            _require_statement(places, subject, keys)
            new = _next(found, subject, channel, signers, valid, at_least, now)
            serial, changed = new.record.serial, any(one != new for one in found)
            for place, one in zip(places, found, strict=True):
                if one != new:
                    place.write(channel_tag(channel), new.envelope)
        for place in places:
            place.move(channel, subject.index_json, subject.manifests)
    return Promoted(subject, serial, changed)


def _next(
    found: Sequence[_Found | None],
    subject: Subject,
    channel: str,
    signers: Sequence[Signer],
    valid: timedelta | None,
    at_least: int | None,
    now: datetime,
) -> _Found:
    largest = max((one.record.serial for one in found if one is not None), default=0)
    newest = [one for one in found if one is not None and one.record.serial == largest]
    # Two places may have gone apart: a device may have seen either record.
    if largest >= (at_least or 1) and all(_says_the_same(one, subject, signers, valid) for one in newest):
        return newest[0]
    record = ChannelRecord(
        channel=channel,
        repository=subject.record.name,
        serial=max(largest + 1, at_least or 1),
        digest=subject.digest,
        expires=None if valid is None else written_time(now + valid),
    )
    return _Found(signed(record, signers), record)


def _says_the_same(newest: _Found, subject: Subject, signers: Sequence[Signer], valid: timedelta | None) -> bool:
    if newest.record.digest != subject.digest or not (valid is None and newest.record.expires is None):
        return False
    # A key that is being introduced has to sign too.
    return all(_believed(newest.envelope, [signer.key]) for signer in signers)


def _believed(envelope: bytes, keys: Sequence[PublicKey]) -> bool:
    try:
        read_channel(envelope, keys)
    except NotSigned:
        return False
    return True


def _record_at(
    place: Place, channel: str, subject: Subject, keys: Sequence[PublicKey], *, strict: bool
) -> _Found | None:
    try:
        envelope = read_envelope(place.registry, channel_tag(channel))
        if envelope is None:
            return None
        if not keys:
            raise NotSigned("It is signed, and no key was given")
        record = read_channel(envelope, keys)
        if (record.channel, record.repository) != (channel, subject.record.name):
            raise WrongSubject(f"It is about {record.repository}/{record.channel}")
    except (NotSigned, WrongSubject) as error:
        if keys and not strict:
            return None
        raise type(error)(
            f"The record of the channel {channel!r} in {place.name} cannot be followed: {str(error).rstrip('.')}. "
            "Promote with the key that devices trust as --key, and those that signed before as --keys; if it is known "
            "to be spoiled, with --serial and a number larger than any that a device has seen."
        ) from error
    return _Found(envelope, record)


def _require_statement(places: Sequence[Place], subject: Subject, keys: Sequence[PublicKey]) -> None:
    """Refuse to vouch for a release that nobody has signed: the registry may have been given another one."""
    for place in places:
        envelope = read_envelope(place.registry, signature_tag(subject.digest))
        advice = f"Compare its digest {subject.digest} with the build's, then `python -m flows.sign release`."
        if envelope is None:
            raise NotSigned(f"The release {subject.record.version} in {place.name} is not signed. {advice}")
        try:
            statement = read_statement(envelope, keys)
        except NotSigned as error:
            raise NotSigned(f"The release {subject.record.version} in {place.name}: {error} {advice}") from error
        if statement != subject.statement:
            raise WrongSubject(
                f"The signature of {subject.record.version} in {place.name} is about {statement}. {advice}"
            )


def _readable(place: Place, tag: str) -> bytes | None:
    try:
        return read_envelope(place.registry, tag)
    except SignatureError:
        return None
