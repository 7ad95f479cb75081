"""Signatures: Ed25519 (RFC 8032) in a DSSE envelope (Dead Simple Signing Envelope 1.0.2, protocol.md and envelope.md).

What is signed is the payload together with its type, so that a signature over one kind of record is none over another.
Verifying needs the package ``securesystemslib``, which brings Ed25519 in plain Python: no native code on a device.
Signing is done by a function that the caller brings along; private keys are no matter of this package.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artifacts.bounded import read_bounded
from artifacts.digest import canonical_json
from artifacts.errors import BadKey, NotSigned, VerifierMissing
from artifacts.files import PathLike
from artifacts.strict_json import decoded

# A channel record has about 500 bytes; an envelope is read into memory before anything in it is believed.
MAX_ENVELOPE_BYTES = 1 << 16
PUBLIC_SUFFIX = ".pub"

_MAX_SIGNATURES = 16
_MAX_KEY_FILE_BYTES = 1 << 16
_SIGNATURE_BYTES = 64
# RFC 8410, section 4: SubjectPublicKeyInfo of an Ed25519 key is this and the 32 bytes of the key.
_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
# RFC 8032, section 5.1: the order of the group.
_ORDER = 2**252 + 27742317777372353535851937790883648493


class PublicKey(NamedTuple):
    """An Ed25519 public key.

    Attributes:
        id: SHA-256 of its SubjectPublicKeyInfo, 64 hexadecimal digits.
        raw: Its 32 bytes.
    """

    id: str
    raw: bytes


class Signer(NamedTuple):
    """A key that signs.

    Attributes:
        key: What verifies.
        sign: Makes the 64 bytes of the signature of a message.
    """

    key: PublicKey
    sign: Callable[[bytes], bytes]


class Opened(NamedTuple):
    """A payload that a trusted key has signed."""

    payload: bytes
    key: PublicKey


class _Signature(BaseModel):
    model_config = ConfigDict(frozen=True)

    sig: str
    keyid: Optional[str] = None


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True)

    payload: str
    payloadType: str
    signatures: List[_Signature] = Field(min_length=1, max_length=_MAX_SIGNATURES)


def public_key(raw: bytes) -> PublicKey:
    """Name a public key.

    Args:
        raw: Its 32 bytes.
    """
    return PublicKey(hashlib.sha256(_SPKI_PREFIX + raw).hexdigest(), raw)


def public_pem(key: PublicKey) -> str:
    """Write a public key as PEM (RFC 7468, SubjectPublicKeyInfo), as openssl does."""
    body = base64.b64encode(_SPKI_PREFIX + key.raw).decode("ascii")
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def load_keys(place: PathLike) -> Tuple[PublicKey, ...]:
    """Read public keys.

    Args:
        place: A PEM file with one or more of them, or a folder, of which every ``*.pub`` is read.

    Returns:
        At least one key.

    Raises:
        BadKey: There is none, or a file holds anything else than Ed25519 keys: a key that is left out because its
            file is damaged would be a surprise later.
    """
    root = Path(place)
    try:
        files = sorted(root.glob(f"*{PUBLIC_SUFFIX}")) if root.is_dir() else [root]
        found = [key for path in files for key in _keys_in(path)]
    except OSError as error:
        raise BadKey(f"The public keys in {root} cannot be read: {error.strerror or error}.") from error
    if not found:
        raise BadKey(f"{root} holds no public key: put one there as NAME{PUBLIC_SUFFIX}, or remove the folder.")
    return tuple({key.id: key for key in found}.values())


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a signature is made over (DSSE protocol.md, "Signature Definition": PAE)."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sealed(payload_type: str, payload: bytes, signers: Sequence[Signer], beside: Optional[bytes] = None) -> bytes:
    """Sign a payload.

    Args:
        payload_type: Its media type.
        payload: What is signed.
        signers: Who signs, at least one.
        beside: An envelope whose signatures are kept, where it is one over the same payload.

    Returns:
        The envelope as JSON (DSSE envelope.md).
    """
    message = pae(payload_type, payload)
    signatures = {signer.key.id: _encoded(signer.sign(message)) for signer in signers}
    for kept in _signatures_over(payload_type, payload, beside):
        signatures.setdefault(str(kept.keyid), kept.sig)
    return canonical_json(
        {
            "payload": _encoded(payload),
            "payloadType": payload_type,
            "signatures": [{"keyid": name, "sig": text} for name, text in signatures.items()][:_MAX_SIGNATURES],
        }
    )


def opened(envelope: bytes, payload_type: str, keys: Sequence[PublicKey]) -> Opened:
    """Return the payload of an envelope that one of some keys has signed.

    Args:
        envelope: JSON.
        payload_type: What it must hold.
        keys: Who is trusted; one of them is enough.

    Raises:
        NotSigned: It is no envelope, holds another type, or none of the keys signed it as it is.
        VerifierMissing: The package that verifies is not installed.
    """
    found = _parsed(envelope)
    if found.payloadType != payload_type:
        raise NotSigned(f"The envelope holds {found.payloadType[:80]!r} where {payload_type!r} belongs.")
    payload = _decoded(found.payload)
    message = pae(payload_type, payload)
    for signature in found.signatures:
        # The id is a hint and nothing more (protocol.md): without one, every key is tried.
        for key in keys:
            if signature.keyid in (None, "", key.id) and _verifies(key, _decoded(signature.sig), message):
                return Opened(payload, key)
    claimed = ", ".join(str(one.keyid)[:12] for one in found.signatures)
    trusted = ", ".join(key.id[:12] for key in keys)
    raise NotSigned(
        f"None of the trusted keys ({trusted}) signed this; the signatures there name {claimed}. It was changed, or "
        "was signed by somebody else: do not use it. If its maker has a new key, get its public part from them by "
        "another way and add it to the keys."
    )


def verifier_library() -> Tuple[ModuleType, ModuleType]:
    """Import what verifies, only when it is needed: most devices pin no keys and need not have it.

    Returns:
        The modules ``securesystemslib.signer`` and ``securesystemslib.exceptions``.

    Raises:
        VerifierMissing: It is not installed.
    """
    try:
        return import_module("securesystemslib.signer"), import_module("securesystemslib.exceptions")
    except ImportError as error:
        raise VerifierMissing(
            "Signatures cannot be verified here: the package securesystemslib is missing. Install it by "
            "`pip install securesystemslib` (it is plain Python), or this package with its extra 'signatures'."
        ) from error


def _verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    # RFC 8032, section 5.1.7: S must be below the order. The verifier in plain Python takes it modulo the order, and so
    # would accept a second form of each signature that others refuse.
    if len(signature) != _SIGNATURE_BYTES or int.from_bytes(signature[32:], "little") >= _ORDER:
        return False
    library, problems = verifier_library()
    verifier = library.SSlibKey(key.id, "ed25519", "ed25519", {"public": key.raw.hex()})
    try:
        verifier.verify_signature(library.Signature(key.id, signature.hex()), message)
    except problems.UnverifiedSignatureError:  # VerificationError is one of these
        return False
    return True


def _parsed(envelope: bytes) -> _Envelope:
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise NotSigned(f"The envelope has {len(envelope)} bytes, more than the {MAX_ENVELOPE_BYTES} accepted.")
    try:
        return _Envelope.model_validate(decoded(envelope))
    except ValueError as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise NotSigned(f"What should be a signature is no DSSE envelope: {first}.") from error


def _signatures_over(payload_type: str, payload: bytes, envelope: Optional[bytes]) -> List[_Signature]:
    try:
        found = None if envelope is None else _parsed(envelope)
        if found is None or found.payloadType != payload_type or _decoded(found.payload) != payload:
            return []
    except NotSigned:  # whatever lies there is replaced
        return []
    return [one for one in found.signatures if one.keyid]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decoded(text: str) -> bytes:
    # envelope.md: a verifier accepts both the standard and the URL-safe alphabet.
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/").encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise NotSigned(f"What should be a signature is no DSSE envelope: {error}.") from error


def _keys_in(path: Path) -> List[PublicKey]:
    text = read_bounded(path, _MAX_KEY_FILE_BYTES).decode("ascii", "replace")
    found: Dict[str, PublicKey] = {}
    for body in _PEM.findall(text):
        try:
            der = base64.b64decode("".join(body.split()))
        except binascii.Error as error:
            raise BadKey(f"{path} is damaged: {error}.") from error
        if len(der) != len(_SPKI_PREFIX) + 32 or not der.startswith(_SPKI_PREFIX):
            raise BadKey(f"{path} holds a public key that is not Ed25519: only such keys are used here.")
        key = public_key(der[len(_SPKI_PREFIX) :])
        found[key.id] = key
    if not found or text.count("-----BEGIN") != len(_PEM.findall(text)):
        raise BadKey(f"{path} is no file of public keys: it should hold BEGIN PUBLIC KEY in PEM, and nothing else.")
    return list(found.values())
