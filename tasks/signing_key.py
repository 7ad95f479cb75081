"""Private keys: Ed25519 in PKCS8 PEM files (RFC 8410), readable by their owner alone. Build side only."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from artifacts.errors import BadKey
from artifacts.files import atomic_write, storage_errors
from artifacts.signing import PUBLIC_SUFFIX, PublicKey, Signer, public_key, public_pem

PASSPHRASE_VARIABLE = "CENTERNET_KEY_PASSPHRASE"

_PRIVATE_MODE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MAX_KEY_BYTES = 1 << 16
_PUBLIC_SIGN = b"-----BEGIN PUBLIC KEY-----"


def public_path(path: Path) -> Path:
    """Return where the public half of a key lies: beside it, as ``NAME.pub``."""
    return path.with_name(path.name + PUBLIC_SUFFIX)


def make_key(path: Path, environ: Mapping[str, str]) -> PublicKey:
    """Make a new key pair.

    Args:
        path: The private key's file, made with mode 0600; the public one lies beside it.
        environ: Environment variables; the private key is encrypted when `CENTERNET_KEY_PASSPHRASE` is set.

    Returns:
        The public key.

    Raises:
        BadKey: A file of that name exists, or none of that name can be made.
        StoreNotWritable: The folder cannot be written.
    """
    if not path.name:
        raise BadKey(f"{str(path)!r} is no name for a key's file: name one, such as publisher.")
    private = Ed25519PrivateKey.generate()
    passphrase = environ.get(PASSPHRASE_VARIABLE, "")
    locked: KeySerializationEncryption = NoEncryption()
    if passphrase:
        locked = BestAvailableEncryption(passphrase.encode())
    data = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    public = public_key(private.public_key().public_bytes_raw())
    try:
        if public_path(path).exists():
            raise BadKey(f"{public_path(path)} exists: choose another name. A key is never replaced.")
        with storage_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_new(path, data)
        atomic_write(public_path(path), public_pem(public).encode("ascii"))
    except OSError as error:  # such as a name that is too long, or a folder of the kernel's
        raise BadKey(f"The key {path} cannot be written: {error.strerror or error}. Choose another place.") from error
    return public


def load_signer(path: Path, environ: Mapping[str, str]) -> Signer:
    """Read a private key.

    Args:
        path: A PKCS8 PEM file that nobody else may read.
        environ: Environment variables; `CENTERNET_KEY_PASSPHRASE` decrypts an encrypted one.

    Returns:
        What signs with it.

    Raises:
        BadKey: It is missing, others may read it, it is no Ed25519 key, or the passphrase is missing or wrong.
    """
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            data = stream.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise BadKey(
            f"The signing key {path} cannot be read: {error.strerror or error}. Make one with "
            f"`python -m flows.sign keygen {path}`."
        ) from error
    if _PUBLIC_SIGN in data:
        raise BadKey(f"{path} is a public key, which signs nothing: give the private one{_beside(path)}.")
    if mode & _OTHERS:
        raise BadKey(
            f"The signing key {path} has mode {mode:04o}: others may read it. If nobody can have copied it, "
            f"`chmod 600 {path}`; otherwise make a new one."
        )
    private = _decoded(path, data, environ.get(PASSPHRASE_VARIABLE, ""))
    return Signer(public_key(private.public_key().public_bytes_raw()), private.sign)


def _write_new(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_MODE)
    except FileExistsError as error:
        raise BadKey(f"{path} exists: choose another name. A key is never replaced.") from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _beside(path: Path) -> str:
    private = path.with_name(path.name.removesuffix(PUBLIC_SUFFIX))
    return f", {private}" if private != path and private.exists() else ""


def _decoded(path: Path, data: bytes, passphrase: str) -> Ed25519PrivateKey:
    encrypted = b"ENCRYPTED" in data
    if encrypted and not passphrase:
        raise BadKey(f"The signing key {path} is encrypted: set {PASSPHRASE_VARIABLE}.")
    try:
        private = load_pem_private_key(data, passphrase.encode() if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = f"the passphrase in {PASSPHRASE_VARIABLE} is wrong, or it is damaged" if encrypted else "it is damaged"
        raise BadKey(f"The signing key {path} cannot be read: {reason}.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise BadKey(f"The signing key {path} is not an Ed25519 key: only such keys are used here.")
    return private
