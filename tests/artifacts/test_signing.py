"""Envelopes and public keys."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

from artifacts.errors import BadKey, NotSigned, VerifierMissing
from artifacts.signing import (
    MAX_ENVELOPE_BYTES,
    Signer,
    load_keys,
    opened,
    pae,
    public_key,
    public_pem,
    sealed,
)
from tests.artifacts.keys import NEEDED, key, signer

TYPE = "application/vnd.example.thing.v1+json"
# RFC 8410, section 10.2 has the form: the key is as long as ours, but is none that signs.
X25519_PEM = public_pem(public_key(b"\1" * 32)).replace("K2VwAyEA", "K2VuAyEA")
PAYLOAD = b'{"thing":"\xc3\xa4"}'


@pytest.fixture
def alice() -> Signer:
    return signer("alice")


def envelope(who: Signer, **changes: Any) -> bytes:
    return json.dumps({**json.loads(sealed(TYPE, PAYLOAD, [who])), **changes}).encode()


def only_signature(data: bytes) -> Dict[str, str]:
    (one,) = json.loads(data)["signatures"]
    return dict(one)


def test_what_was_signed_is_opened_by_the_pinned_key(alice: Signer) -> None:
    assert opened(sealed(TYPE, PAYLOAD, [alice]), TYPE, [key("bob"), alice.key]) == (PAYLOAD, alice.key)


def test_the_encoding_is_that_of_the_specification() -> None:
    # DSSE protocol.md, "Test Vectors"; lengths are of bytes, not letters.
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("ä", "ä".encode()) == b"DSSEv1 2 \xc3\xa4 2 \xc3\xa4"


def test_a_key_and_signature_of_the_standard_verify() -> None:
    # RFC 8032, section 7.1, TEST 3, by way of the verifier itself.
    pytest.importorskip("securesystemslib", reason=NEEDED)
    from artifacts import signing

    raw = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    signature = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert signing._verifies(public_key(raw), signature, b"\xaf\x82")
    assert not signing._verifies(public_key(raw), signature, b"\xaf\x83")


def test_a_tampered_payload_is_refused(alice: Signer) -> None:
    spoiled = base64.b64encode(PAYLOAD.replace(b"thing", b"thong")).decode()
    with pytest.raises(NotSigned, match="None of the trusted keys"):
        opened(envelope(alice, payload=spoiled), TYPE, [alice.key])


@pytest.mark.parametrize("place", [0, 31, 32, 63])
def test_a_tampered_signature_is_refused(alice: Signer, place: int) -> None:
    one = only_signature(envelope(alice))
    raw = bytearray(base64.b64decode(one["sig"]))
    raw[place] ^= 1
    with pytest.raises(NotSigned):
        opened(envelope(alice, signatures=[{**one, "sig": base64.b64encode(raw).decode()}]), TYPE, [alice.key])


@pytest.mark.parametrize("raw", [b"", b"\0" * 63, b"\0" * 65, b"\xff" * 64])
def test_what_is_no_signature_at_all_is_refused(alice: Signer, raw: bytes) -> None:
    one = {"keyid": alice.key.id, "sig": base64.b64encode(raw).decode()}
    with pytest.raises(NotSigned):
        opened(envelope(alice, signatures=[one]), TYPE, [alice.key])


def test_a_second_form_of_a_good_signature_is_refused(alice: Signer) -> None:
    one = only_signature(envelope(alice))
    raw = base64.b64decode(one["sig"])
    order = 2**252 + 27742317777372353535851937790883648493
    other = raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(NotSigned):
        opened(envelope(alice, signatures=[{**one, "sig": base64.b64encode(other).decode()}]), TYPE, [alice.key])


def test_a_signature_of_another_key_is_refused_whatever_id_it_names(alice: Signer) -> None:
    mallory = signer("mallory")
    with pytest.raises(NotSigned, match=mallory.key.id[:12]):
        opened(sealed(TYPE, PAYLOAD, [mallory]), TYPE, [alice.key])
    disguised = Signer(mallory.key._replace(id=alice.key.id), mallory.sign)
    with pytest.raises(NotSigned):
        opened(sealed(TYPE, PAYLOAD, [disguised]), TYPE, [alice.key])


def test_a_signature_over_one_type_is_none_over_another(alice: Signer) -> None:
    with pytest.raises(NotSigned, match="where"):
        opened(envelope(alice), "application/vnd.example.other.v1+json", [alice.key])
    renamed = envelope(alice, payloadType="application/vnd.example.other.v1+json")
    with pytest.raises(NotSigned, match="None of the trusted keys"):
        opened(renamed, "application/vnd.example.other.v1+json", [alice.key])


def test_a_new_key_signs_beside_the_old_one_and_either_is_enough(alice: Signer) -> None:
    old = sealed(TYPE, PAYLOAD, [signer("old")])
    both = sealed(TYPE, PAYLOAD, [alice], old)
    assert opened(both, TYPE, [key("old")]).key == key("old")
    assert opened(both, TYPE, [alice.key]).key == alice.key
    assert sealed(TYPE, PAYLOAD, [alice], both) == both
    # Over another payload the old signature would be worth nothing.
    assert len(json.loads(sealed(TYPE, b"other", [alice], old))["signatures"]) == 1
    assert sealed(TYPE, PAYLOAD, [alice], b"rubbish") == sealed(TYPE, PAYLOAD, [alice])


def test_a_signature_without_an_id_is_tried_with_every_key(alice: Signer) -> None:
    one = {"sig": only_signature(envelope(alice))["sig"]}
    assert opened(envelope(alice, signatures=[one]), TYPE, [key("bob"), alice.key]).key == alice.key


def test_both_alphabets_of_base64_are_read(alice: Signer) -> None:
    one = only_signature(envelope(alice))
    url_safe = {**one, "sig": one["sig"].replace("+", "-").replace("/", "_")}
    assert url_safe != one
    payload = base64.urlsafe_b64encode(PAYLOAD).decode()
    assert opened(envelope(alice, signatures=[url_safe], payload=payload), TYPE, [alice.key]).payload == PAYLOAD


@pytest.mark.usefixtures("nothing_is_collected")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 5000,
        b'{"payload":"","payloadType":"x","signatures":[]}',
        b'{"payload":"\\u00e4","payloadType":"%s","signatures":[{"sig":""}]}' % TYPE.encode(),
        b'{"payload":"x","payloadType":"%s","signatures":[{"sig":""}]}' % TYPE.encode(),
        b'{"payload":"","payloadType":"x","signatures":[%s]}' % b",".join([b'{"sig":""}'] * 17),
    ],
)
def test_what_is_no_envelope_is_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(NotSigned):
        opened(data, TYPE, [public_key(b"\1" * 32)])


def test_an_envelope_without_end_is_refused_though_it_is_sound(alice: Signer) -> None:
    made = envelope(alice)
    assert opened(made.ljust(MAX_ENVELOPE_BYTES), TYPE, [alice.key])
    with pytest.raises(NotSigned, match="more than"):
        opened(made.ljust(MAX_ENVELOPE_BYTES + 1), TYPE, [alice.key])


def test_without_the_verifier_the_error_says_how_to_get_it(alice: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    data = envelope(alice)
    monkeypatch.setitem(sys.modules, "securesystemslib.signer", None)
    with pytest.raises(VerifierMissing, match="pip install securesystemslib"):
        opened(data, TYPE, [alice.key])


def test_keys_are_read_from_a_file_and_from_a_folder(tmp_path: Path) -> None:
    keys = [public_key(bytes([number]) * 32) for number in range(3)]
    both = tmp_path / "both.pem"
    both.write_text(public_pem(keys[0]) + "\n" + public_pem(keys[1]))
    assert load_keys(both) == (keys[0], keys[1])
    folder = tmp_path / "keys"
    folder.mkdir()
    for number, one in enumerate(keys):
        (folder / f"{number}.pub").write_text(public_pem(one))
    (folder / "copy.pub").write_text(public_pem(keys[0]))
    (folder / "README").write_text("who has which key")
    assert sorted(load_keys(folder)) == sorted(keys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519 AAAA",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAAA\n-----END PUBLIC KEY-----\n",
        public_pem(public_key(b"\1" * 32)) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        public_pem(public_key(b"\1" * 31)),
        X25519_PEM,
    ],
)
def test_a_damaged_key_is_never_taken_for_no_key(tmp_path: Path, text: str) -> None:
    (tmp_path / "good.pub").write_text(public_pem(public_key(b"\1" * 32)))
    (tmp_path / "other.pub").write_text(text)
    with pytest.raises(BadKey, match=r"other\.pub"):
        load_keys(tmp_path)


def test_a_folder_without_keys_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="holds no public key"):
        load_keys(tmp_path)
    with pytest.raises(BadKey, match="No such file"):
        load_keys(tmp_path / "gone.pub")


def test_openssl_agrees_about_key_and_signature(tmp_path: Path, alice: Signer) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    made = sealed(TYPE, PAYLOAD, [alice])
    (tmp_path / "key.pub").write_text(public_pem(alice.key))
    (tmp_path / "message").write_bytes(pae(TYPE, PAYLOAD))
    (tmp_path / "signature").write_bytes(base64.b64decode(only_signature(made)["sig"]))
    command = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin", "-in", "message"]
    command += ["-sigfile", "signature"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "unknown option" in done.stderr.lower() or "Unrecognized" in done.stderr:
        pytest.skip("this openssl is too old to verify Ed25519")
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")
    (tmp_path / "message").write_bytes(pae(TYPE, PAYLOAD + b" "))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0
    # The id is what `openssl pkey -pubin -outform DER | sha256sum` gives.
    der = subprocess.run(
        [openssl, "pkey", "-pubin", "-in", "key.pub", "-outform", "DER"], cwd=tmp_path, check=True, capture_output=True
    ).stdout
    assert hashlib.sha256(der).hexdigest() == alice.key.id
