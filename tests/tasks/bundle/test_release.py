from __future__ import annotations

from pathlib import Path

import pytest

from artifacts import layout
from artifacts.attachments import LayoutPlace
from artifacts.errors import DamagedBlob, NotSigned, UnknownTag
from artifacts.reference import parse_reference
from artifacts.registry import open_registry
from inference.deploy.trust import Trust, trusted_name
from tasks.bundle.release import compare, copy_release, expected_of, layout_files, told
from tasks.signing import sign_release, subject_at
from tests.artifacts.keys import key, signer
from tests.artifacts.layouts import blob_path, publish
from tests.artifacts.releases import record

NAME = record().name


def test_a_release_arrives_alone_and_with_its_own_digest(tmp_path: Path) -> None:
    published = publish(tmp_path / "registry", "1.0.0", "1.0.0", "latest")
    publish(tmp_path / "registry", "2.0.0")
    assert copy_release(parse_reference(f"oci:{tmp_path / 'registry'}:latest"), tmp_path).digest == published.digest
    assert layout.tags(tmp_path / NAME) == {"1.0.0": published.digest}
    assert layout.check(tmp_path / NAME) == []


def test_the_files_of_a_layout_are_all_that_it_takes_to_carry_it(tmp_path: Path) -> None:
    published = publish(tmp_path / "registry")
    reference = parse_reference(f"oci:{tmp_path / 'registry'}@{published.digest}")
    copy_release(reference, tmp_path / "copy")
    for name, path in layout_files(tmp_path / "copy").items():
        (tmp_path / "there" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "there" / name).write_bytes(path.read_bytes())
    assert expected_of(parse_reference(f"oci:{tmp_path / 'there' / NAME}:1.0.0")) == expected_of(reference)
    assert layout.check(tmp_path / "there" / NAME) == []
    assert {path.name for path in (tmp_path / "there" / NAME).iterdir()} == {"oci-layout", "index.json", "blobs"}


def test_a_board_that_pins_keys_takes_the_copy_of_a_signed_release_and_no_other(tmp_path: Path) -> None:
    publish(tmp_path / "registry")
    publish(tmp_path / "registry", "2.0.0")
    place = LayoutPlace(tmp_path / "registry")
    sign_release(place, subject_at(place.registry, "1.0.0"), [signer("ours")])
    for version in ("1.0.0", "2.0.0"):
        copy_release(parse_reference(f"oci:{tmp_path / 'registry'}:{version}"), tmp_path / version)

    def trusted(version: str) -> str:
        reference = parse_reference(f"oci:{tmp_path / version / NAME}:{version}")
        with open_registry(reference) as registry:
            return trusted_name(registry, reference, Trust((key("ours"),)), tmp_path)

    assert trusted("1.0.0").startswith("sha256:")
    with pytest.raises(NotSigned):
        trusted("2.0.0")


def test_a_damaged_release_does_not_travel(tmp_path: Path) -> None:
    publish(tmp_path / "registry")
    reference = parse_reference(f"oci:{tmp_path / 'registry'}:1.0.0")
    damaged = blob_path(tmp_path / "registry", next(iter(expected_of(reference).values())))
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    with pytest.raises(DamagedBlob):
        copy_release(reference, tmp_path / "copy")


def test_a_release_that_is_not_there_is_told(tmp_path: Path) -> None:
    publish(tmp_path / "registry")
    with pytest.raises(UnknownTag):
        copy_release(parse_reference(f"oci:{tmp_path / 'registry'}:3.0.0"), tmp_path / "copy")


def test_bmodels_are_compared_by_their_bytes() -> None:
    found = compare({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "4", "d": "5"})
    assert (found.same, found.different, found.missing) == (("a",), ("b",), ("c",))
    assert told(found).splitlines()[0].startswith("1 of 3 bmodels")
    assert "other bytes: b" in told(found) and "not built here: c" in told(found)
