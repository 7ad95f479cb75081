"""Private keys on the build side."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from artifacts.errors import BadKey, StoreNotWritable
from artifacts.signing import load_keys
from tasks.signing_key import PASSPHRASE_VARIABLE, load_signer, make_key, public_path

SECRET = {PASSPHRASE_VARIABLE: "correct horse"}


@pytest.mark.parametrize("environ", [{}, SECRET])
def test_a_new_key_signs_and_its_public_half_lies_beside_it(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "keys" / "publisher"
    made = make_key(path, environ)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_keys(public_path(path)) == (made,)
    signer = load_signer(path, environ)
    assert signer.key == made
    Ed25519PublicKey.from_public_bytes(made.raw).verify(signer.sign(b"message"), b"message")
    assert (b"ENCRYPTED" in path.read_bytes()) == bool(environ)


def test_two_keys_are_two_keys(tmp_path: Path) -> None:
    assert make_key(tmp_path / "a", {}) != make_key(tmp_path / "b", {})


@pytest.mark.parametrize("name", ["publisher", "publisher.pub"])
def test_a_key_is_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("here before")
    with pytest.raises(BadKey, match="exists"):
        make_key(tmp_path / "publisher", {})
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "here before"


@pytest.mark.parametrize("name", ["", "/", "/proc/none", "/proc/none/key", "x" * 300])
def test_a_place_that_takes_no_key_is_told_in_words(tmp_path: Path, name: str) -> None:
    place = tmp_path / name if name.startswith("x") else Path(name)
    with pytest.raises((BadKey, StoreNotWritable), match=r"name one|Choose a"):
        make_key(place, {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_a_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreNotWritable, match="is a file, not a folder"):
        make_key(tmp_path / "file" / "publisher", {})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    make_key(tmp_path / "publisher", {})
    (tmp_path / "publisher").chmod(mode)
    with pytest.raises(BadKey, match=f"mode {mode:04o}"):
        load_signer(tmp_path / "publisher", {})


def test_an_encrypted_key_wants_its_passphrase_and_no_message_tells_it(tmp_path: Path) -> None:
    make_key(tmp_path / "publisher", SECRET)
    with pytest.raises(BadKey, match=PASSPHRASE_VARIABLE):
        load_signer(tmp_path / "publisher", {})
    with pytest.raises(BadKey, match="is wrong") as caught:
        load_signer(tmp_path / "publisher", {PASSPHRASE_VARIABLE: "battery staple"})
    assert "battery" not in str(caught.value)


def test_a_passphrase_does_not_disturb_a_key_without_one(tmp_path: Path) -> None:
    made = make_key(tmp_path / "publisher", {})
    assert load_signer(tmp_path / "publisher", SECRET).key == made


@pytest.mark.parametrize("data", [b"", b"rubbish", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_private_key_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "publisher"
    path.touch(0o600)
    path.write_bytes(data)
    with pytest.raises(BadKey, match="damaged"):
        load_signer(path, {})


@pytest.mark.parametrize("private_is_there", [True, False])
def test_a_public_key_in_a_private_ones_place_is_recognised(tmp_path: Path, private_is_there: bool) -> None:
    path = tmp_path / "publisher"
    make_key(path, {})
    if not private_is_there:
        path.unlink()
    with pytest.raises(BadKey) as caught:
        load_signer(public_path(path), {})
    told = f"{path}.pub is a public key, which signs nothing: give the private one"
    assert str(caught.value) == (f"{told}, {path}." if private_is_there else f"{told}.")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "publisher"
    path.touch(0o600)
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(BadKey, match="not an Ed25519 key"):
        load_signer(path, {})


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="keygen"):
        load_signer(tmp_path / "none", {})
    with pytest.raises(BadKey):
        load_signer(tmp_path, {})


def test_a_key_that_openssl_made_is_used(tmp_path: Path) -> None:
    path = tmp_path / "publisher"
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-out", f"{path}.pub"], check=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    path.chmod(0o600)
    assert load_keys(public_path(path)) == (load_signer(path, {}).key,)
