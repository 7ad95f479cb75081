from __future__ import annotations

import json
import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.bundle.manifest import NAME, BundledFile, Host, check_name, check_names, encoded, parse, plain, unfit
from tests.tasks.bundle.tars import CONTENTS, HOST, entries, manifest_of

PARTS = st.one_of(st.sampled_from(["", ".", "..", "a", "wheels", "\0", "a\\b", "\n"]), st.text(max_size=12))


@given(st.lists(PARTS, max_size=6).map("/".join))
def test_a_name_that_is_taken_stays_below_its_folder(name: str) -> None:
    try:
        check_name(name)
    except ValueError:
        return
    joined = os.path.normpath(f"/folder/{name}")
    assert joined == f"/folder/{name}"
    assert PurePosixPath(joined).is_relative_to("/folder")
    assert name.isprintable() or not any(character in name for character in "\0\n\r\x1b")


@given(st.text(alphabet="abcXYZ019._+-=@ é", min_size=1, max_size=40).filter(lambda name: name not in (".", "..")))
def test_names_of_wheels_and_photographs_are_taken(name: str) -> None:
    listed = BundledFile(f"inputs/{name}", 0, "sha256:" + "0" * 64)
    assert parse(encoded(manifest_of((listed,)))).files == (listed,)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "a//b", "a/", "", ".", "a\\b", "a\nb", "x" * 300, "\ud800", "a\0b"]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        check_name(name)


@pytest.mark.parametrize("names", [["a", "a"], ["a", "a/b"], [NAME], [f"{NAME}/a"], ["a/b/c", "a/b"]])
def test_names_that_cannot_lie_together_are_refused(names: list[str]) -> None:
    with pytest.raises(ValueError):
        check_names(names)


def test_a_manifest_is_read_as_it_was_written() -> None:
    manifest = manifest_of(entries(CONTENTS))
    assert parse(encoded(manifest)) == manifest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "generation"),
        ({"files": [{"name": "../x", "size": 1, "digest": "sha256:" + "0" * 64}]}, "no name of a file"),
        ({"files": [{"name": "x", "size": -1, "digest": "sha256:" + "0" * 64}]}, "size"),
        ({"files": [{"name": "x", "size": True, "digest": "sha256:" + "0" * 64}]}, "size"),
        ({"files": [{"name": "x", "size": 1, "digest": "md5:0"}]}, "digest"),
        ({"files": [{"name": "x", "size": 1}]}, "lacks"),
        ({"files": 7}, "lacks"),
        ({"machine": 7}, "lacks"),
        ({"pythons": []}, "lacks"),
        ({"profile": "\x1b[2J"}, "plain word"),
        ({"profile": "a b"}, "plain word"),
        ({"profile": "x" * 201}, "plain word"),
        ({"machine": "x86_64\n"}, "plain word"),
        ({"pythons": {"\x9b": "3.11"}}, "plain word"),
        ({"files": [{"name": ".unpacking/x", "size": 1, "digest": "sha256:" + "0" * 64}]}, "no name of a file"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(change: dict[str, object], said: str) -> None:
    facts = json.loads(encoded(manifest_of(entries(CONTENTS)))) | change
    with pytest.raises(ValueError, match=said):
        parse(json.dumps(facts).encode())


@pytest.mark.parametrize(
    "change", [{"schema": "\x1b" * 9999}, {"kind": ["\u202e" * 9999]}, {"files": [{"name": 7}] * 9}]
)
def test_what_is_said_of_a_manifest_is_short_and_steers_no_terminal(change: dict[str, object]) -> None:
    facts = json.loads(encoded(manifest_of(entries(CONTENTS)))) | change
    with pytest.raises(ValueError) as caught:
        parse(json.dumps(facts).encode())
    assert len(str(caught.value)) < 300 and str(caught.value).isascii() and str(caught.value).isprintable()


@given(st.text(max_size=300))
def test_whatever_a_profile_is_called_it_can_be_read_again(name: str) -> None:
    manifest = manifest_of([])._replace(profile=plain(name))
    assert parse(encoded(manifest)) == manifest


@given(st.binary(max_size=200))
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse(data)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (HOST._replace(machine="aarch64"), "machine"),
        (HOST._replace(python="3.12"), "Python 3.11"),
        (HOST._replace(glibc="2.31"), "C library"),
        (HOST._replace(glibc=""), "C library"),
    ],
)
def test_another_machine_is_told_what_does_not_fit(host: Host, said: str) -> None:
    (reason,) = unfit(manifest_of([]), "build", host)
    assert said in reason


def test_a_machine_that_is_newer_fits() -> None:
    assert unfit(manifest_of([]), "build", HOST._replace(glibc="2.41")) == []


def test_a_bundle_for_a_device_builds_nothing() -> None:
    assert "device bundle" in unfit(manifest_of([], kind="device"), "build", HOST)[0]
