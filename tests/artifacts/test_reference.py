from __future__ import annotations

from pathlib import Path
from typing import Dict, Tuple

import pytest

from artifacts.errors import ArtifactError, BadReference
from artifacts.reference import Reference, is_reference, parse_reference

DIGEST = "sha256:" + "ab" * 32

GOOD: Dict[str, Tuple[str, str, str, str]] = {
    "oci:build/registry/centernet": ("oci", "build/registry/centernet", "", "latest"),
    "oci:/srv/models:1.0.0": ("oci", "/srv/models", "", "1.0.0"),
    f"oci:/srv/models@{DIGEST}": ("oci", "/srv/models", "", DIGEST),
    "oci:/srv/a:b/models": ("oci", "/srv/a:b/models", "", "latest"),
    "oci:/srv/a:b/models:stable": ("oci", "/srv/a:b/models", "", "stable"),
    "registry.example.com/models/centernet": ("remote", "registry.example.com", "models/centernet", "latest"),
    "Registry.Example.com/m:1.30.2-abc": ("remote", "registry.example.com", "m", "1.30.2-abc"),
    f"localhost/m@{DIGEST}": ("remote", "localhost", "m", DIGEST),
    "127.0.0.1:5000/models/centernet:stable": ("remote", "127.0.0.1:5000", "models/centernet", "stable"),
    "[::1]:5000/a__b/c-d.e:x": ("remote", "[::1]:5000", "a__b/c-d.e", "x"),
}


@pytest.mark.parametrize("text", list(GOOD))
def test_a_reference_is_read(text: str) -> None:
    found = parse_reference(text)
    assert (found.kind, found.place, found.repository, found.name) == GOOD[text]
    assert found.by_digest == (found.name == DIGEST)
    assert parse_reference(str(found)) == found
    assert is_reference(text)


BAD = {
    "": "begins neither",
    "centernet": "begins neither",
    "models/centernet:1.0.0": "begins neither",
    "oci:": "folder of the layout is missing",
    "oci::1.0.0": "folder of the layout is missing",
    "oci:x:": "cannot be a tag",
    "oci:x:a b": "cannot be a tag",
    "oci:x@sha256:12": "is not a digest",
    f"oci:x:1.0@{DIGEST}": "a tag and a digest",
    "https://registry.example.com/m:1": "no 'https://' in front",
    "docker://registry.example.com/m:1": "no 'docker://' in front",
    "registry.example.com/Models:1": "cannot be a repository",
    "registry.example.com/": "cannot be a repository",
    "registry.example.com/a//b": "cannot be a repository",
    "registry.example.com/../b": "cannot be a repository",
    "registry.example.com/a?x=1": "cannot be a repository",
    "registry.example.com/" + "a" * 300: "cannot be a repository",
    f"registry.example.com/m@{DIGEST[:-1]}": "is not a digest",
    "registry.example.com/m@sha512:" + "a" * 128: "cannot be a repository",
    "registry.example.com:port/m": "begins neither",
    "-x.example.com/m": "begins neither",
}


@pytest.mark.parametrize("text", list(BAD))
def test_what_is_no_reference_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadReference, match=BAD[text]) as caught:
        parse_reference(text)
    assert isinstance(caught.value, ArtifactError)
    assert "oci:FOLDER:1.0.0" in str(caught.value)


def test_a_password_in_a_reference_is_not_shown() -> None:
    with pytest.raises(BadReference) as caught:
        parse_reference("alice:wonder@registry.example.com/m:1")
    assert "wonder" not in str(caught.value)
    with pytest.raises(BadReference) as caught:
        parse_reference("https://alice:wonder@registry.example.com/m:1")
    assert "wonder" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["model", "build/release", "./release.d/x", "../a.b/c", "/srv/a.b/c", "models.d/x.bmodel", "a.bmodel", ""]
)
def test_a_path_is_not_taken_for_a_reference(text: str) -> None:
    assert not is_reference(text)


def test_a_path_that_exists_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_reference("release-1.0/models")
    (tmp_path / "release-1.0").mkdir()
    assert not is_reference("release-1.0/models")
    (tmp_path / "oci:here").mkdir()
    assert not is_reference("oci:here")


def test_a_home_folder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert parse_reference("oci:~/models:1").place == "/home/me/models"


def test_another_release_in_the_same_place() -> None:
    reference = Reference(kind="remote", place="localhost:5000", repository="m", name="stable")
    assert str(reference.named("1.0.0")) == "localhost:5000/m:1.0.0"
    assert str(reference.named(DIGEST)) == f"localhost:5000/m@{DIGEST}"
    with pytest.raises(BadReference, match="cannot be a tag"):
        reference.named("1 0")


@pytest.mark.parametrize("text", ["oci:@sha256", "oci:folder/[:]@sha256/"])
def test_a_folder_that_could_not_be_told_from_a_digest_is_refused(text: str) -> None:
    with pytest.raises(BadReference, match="choose another name"):
        parse_reference(text)


@pytest.mark.parametrize("folder", ["/srv/a:1", ":", "a:1/b:2"])
@pytest.mark.parametrize("name", ["latest", "sha256:" + "0f" * 32])
def test_a_folder_with_a_colon_is_written_so_that_it_is_read_again(folder: str, name: str) -> None:
    here = Reference(kind="oci", place=folder, name=name)
    assert parse_reference(str(here)) == here
