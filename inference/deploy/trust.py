"""Who may give this device releases: pinned keys, and the newest record of each channel that was ever seen.

Without pinned keys nothing is asked of a release but that its bytes are whole. With them, a release needs a statement
of one of them, and a channel (``latest``, ``stable``) a record whose serial does not fall. What was seen is kept in
``trust.json`` of the device store, apart from what was pulled: removing releases does not make the device forget.
"""

from __future__ import annotations

import os
import stat
import sys
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Callable, Dict, Mapping, NamedTuple, Optional, Tuple

from pydantic import Field, ValidationError
from typing_extensions import Literal

from artifacts import media
from artifacts.attachments import read_envelope
from artifacts.bounded import read_bounded
from artifacts.errors import BadKey, BadRecord, NotSigned, RecordExpired, RolledBack, WrongSubject
from artifacts.files import atomic_write
from artifacts.layout_tags import CHANNELS, channel_tag, signature_tag
from artifacts.oci import parse
from artifacts.reference import Reference
from artifacts.registry import Registry
from artifacts.schema import check_itself, checked_json, problems
from artifacts.signing import PUBLIC_SUFFIX, PublicKey, load_keys
from artifacts.statements import ChannelRecord, read_channel, read_statement
from artifacts.store import Digest
from artifacts.strict_json import decoded
from artifacts.variant import Record
from inference.errors import DeployError

KEYS_VARIABLE = "CENTERNET_KEYS"
KEYS_FOLDER = "keys"
TRUST_FILE = "trust.json"
_MAX_MEMORY_BYTES = 1 << 20

# datetime.UTC is newer than Python 3.8.
_UTC = timezone.utc  # noqa: UP017
# Boards without a battery start in 1970, or at the date of their image; nothing here is older than this.
_EARLIEST = datetime(2026, 1, 1, tzinfo=_UTC)

Expiry = Literal["refuse", "warn"]


def _now() -> datetime:
    return datetime.now(_UTC)


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


class Trust(NamedTuple):
    """What a release has to show before this device takes it.

    Attributes:
        keys: The pinned keys; none of them means that nothing is asked.
        signed_as: The repository that the signatures have to name; None means the last part of the reference's.
        expired: Whether a channel's record past its date is refused, or only told of.
        now: The clock.
        warn: Takes warnings.
    """

    keys: Tuple[PublicKey, ...] = ()
    signed_as: Optional[str] = None
    expired: Expiry = "refuse"
    now: Callable[[], datetime] = _now
    warn: Callable[[str], None] = _warn


class _Seen(Record):
    """The newest record of a channel."""

    serial: int
    digest: Digest


class _Memory(Record):
    """What `trust.json` holds: by repository and channel, with a slash between."""

    schema_version: Literal["1.0"] = "1.0"
    channels: Dict[str, _Seen] = Field(default_factory=dict)


def pinned_keys(
    store: Path, given: Optional[Path] = None, environment: Optional[Mapping[str, str]] = None
) -> Tuple[PublicKey, ...]:
    """Read the keys that this device trusts.

    In this order: the file or folder given; that of ``$CENTERNET_KEYS``; ``keys/*.pub`` in the device store.

    Args:
        store: The device store.
        given: A PEM file, or a folder of ``*.pub``.
        environment: Environment variables; None takes this process's own.

    Returns:
        The keys; empty only where nothing names any.

    Raises:
        BadKey: What is named holds no key, or cannot be read; it is never taken for "no keys". Or everybody may write
            there.
    """
    variable = (os.environ if environment is None else environment).get(KEYS_VARIABLE)
    place = given or (Path(variable) if variable else None)
    if place is None:
        place = store / KEYS_FOLDER
        # A link that leads nowhere is a mistake, not the absence of keys.
        if not (place.is_symlink() or place.exists()):
            return ()
    keys = load_keys(place)
    # The store as well: what was seen of the channels is remembered there, and its keys folder could be exchanged.
    for path in (store, place, *(sorted(place.iterdir()) if place.is_dir() else ())):
        _refuse_if_others_may_write(path)
    return keys


def _refuse_if_others_may_write(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if mode & stat.S_IWOTH:
        raise BadKey(
            f"Everybody on this device may write {path} (mode {stat.S_IMODE(mode):04o}), so that a key or a memory in "
            f"it proves nothing. Look whether the keys are still yours, then `chmod o-w {path}`."
        )


def trusted_name(registry: Registry, reference: Reference, trust: Trust, store: Path) -> str:
    """Return what to fetch for a reference: where keys are pinned, the digest that they vouch for.

    To be called while no other pull uses the store.

    Args:
        registry: Where the release is.
        reference: Which it is, there.
        trust: What it has to show.
        store: The device store, which remembers what was seen.

    Returns:
        A digest; without pinned keys the reference's own name.

    Raises:
        NotSigned: It is not signed, or not by a pinned key.
        WrongSubject: The signature is about another release, repository, version or channel.
        RolledBack: The channel's record is older than one that was seen, or contradicts it.
        RecordExpired: The channel's record is past its date, and that is refused.
        VerifierMissing: The package that verifies is not installed.
        RegistryError: The registry has no such release, or cannot be read.
        DeployError: The store's memory is damaged.
    """
    if not trust.keys:
        folder = store / KEYS_FOLDER
        trust.warn(f"who made this release was not verified: no keys are pinned (NAME{PUBLIC_SUFFIX} in {folder})")
        return reference.name
    expected = trust.signed_as or _last_part(reference)
    if reference.name in CHANNELS:
        digest = _of_channel(registry, reference, expected, trust, store)
    else:
        digest = registry.resolve(reference.name)[0]
    _require_statement(registry, reference, digest, expected, trust)
    return digest


def _of_channel(registry: Registry, reference: Reference, expected: str, trust: Trust, store: Path) -> str:
    envelope = read_envelope(registry, channel_tag(reference.name))
    if envelope is None:
        raise NotSigned(
            f"{reference.home} has no signed record of the channel {reference.name!r}, and keys are pinned here. Move "
            "the channel with `python -m flows.promote` and the key, or pull a signed version."
        )
    record = read_channel(envelope, trust.keys)
    if record.channel != reference.name:
        raise WrongSubject(_other(f"the channel {reference.name!r}", f"the channel {record.channel!r}", reference))
    _require_repository(record.repository, expected, reference)
    _remember(record, store)
    _look_at_the_date(record, trust)
    return record.digest


def _require_statement(registry: Registry, reference: Reference, digest: str, expected: str, trust: Trust) -> None:
    envelope = read_envelope(registry, signature_tag(digest))
    if envelope is None:
        of_chip = parse(registry.resolve(digest)[1], "a manifest").get("mediaType") == media.MANIFEST
        advice = (
            "only whole releases are signed: leave the chip out of the tag" if of_chip else "sign it, or pull another"
        )
        raise NotSigned(f"{reference} ({digest}) is not signed, and keys are pinned here: {advice}.")
    statement = read_statement(envelope, trust.keys)
    if statement.digest != digest:
        raise WrongSubject(_other(digest, statement.digest, reference))
    _require_repository(statement.repository, expected, reference)
    if not (reference.by_digest or reference.name in CHANNELS) and statement.version != reference.name:
        raise WrongSubject(_other(f"the version {reference.name!r}", f"the version {statement.version!r}", reference))


def _require_repository(signed: str, expected: str, reference: Reference) -> None:
    if signed != expected:
        raise WrongSubject(
            _other(f"the repository {expected!r}", f"the repository {signed!r}", reference)
            + f" If {reference.home} is a copy of it under another name, add --signed-as {signed}."
        )


def _remember(record: ChannelRecord, store: Path) -> None:
    """Compare a verified record with the newest one that was seen, and note it before anything is done with it."""
    memory, name = _recall(store), f"{record.repository}/{record.channel}"
    seen = memory.channels.get(name)
    if seen is not None and record.serial < seen.serial:
        raise RolledBack(
            f"The registry's record of {name} has the serial {record.serial}; this device has seen {seen.serial}. The "
            "registry is behind, or somebody puts an old release in place of a newer one. To go back on purpose, "
            "promote the old release: its record gets a new serial."
        )
    if seen is not None and record.serial == seen.serial and record.digest != seen.digest:
        raise RolledBack(
            f"There are two records of {name} with the serial {record.serial}: {seen.digest} was seen here before, "
            f"{record.digest} is there now. Two publishers moved the channel at once, or the key is in wrong hands: "
            "promote the right release again."
        )
    if seen is None or record.serial > seen.serial:
        noted = {**memory.channels, name: _Seen(serial=record.serial, digest=record.digest)}
        after = memory.model_copy(update={"channels": noted})
        atomic_write(store / TRUST_FILE, checked_json(after.model_dump(mode="json")))


def check_memory(store: Path) -> None:
    """Read what is remembered of channels.

    Args:
        store: The device store.

    Raises:
        DeployError: It cannot be read.
    """
    _recall(store)


def _recall(store: Path) -> _Memory:
    path = store / TRUST_FILE
    try:
        value = decoded(read_bounded(path, _MAX_MEMORY_BYTES))
        check_itself(value if isinstance(value, dict) else {})
        return _Memory.model_validate(value)
    except FileNotFoundError:
        return _Memory()
    except (ValueError, OSError, BadRecord) as error:
        reason = problems(error) if isinstance(error, ValidationError) else str(error)
        raise DeployError(
            f"{path} cannot be read: {reason}. It holds the newest serial of "
            "each channel. Put it back from a copy; without it an old release could not be told from a new one"
        ) from error


def _look_at_the_date(record: ChannelRecord, trust: Trust) -> None:
    now = trust.now()
    if record.expiry is None:
        return
    if now < _EARLIEST:
        trust.warn(f"the clock says {now:%Y-%m-%d}, so whether the channel's record is still good cannot be told")
    elif now > record.expiry:
        text = f"the record of {record.repository}/{record.channel} was good until {record.expires}"
        if trust.expired == "refuse":
            raise RecordExpired(
                f"{text}, and the clock says {now:%Y-%m-%d %H:%M}. The registry may be kept from showing newer "
                "releases: promote the release again, correct the clock, or add --expired warn."
            )
        trust.warn(text)


def _other(wanted: str, found: str, reference: Reference) -> str:
    return (
        f"{reference} should be {wanted}, but what is signed there is {found}. The registry mixes releases up, or "
        "somebody put one in place of the other: nothing was fetched."
    )


def _last_part(reference: Reference) -> str:
    return PurePosixPath(reference.repository or Path(reference.place).absolute().as_posix()).name
