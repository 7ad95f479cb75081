"""What may go from the registry's folder: nothing that a tag leads to."""

from __future__ import annotations

import pytest

from artifacts import layout
from artifacts.attachments import LayoutPlace
from artifacts.errors import ReleaseInUse, UnknownTag
from artifacts.evidence import attach
from artifacts.layout_tags import signature_tag
from tasks.housekeeping.model import Kind
from tasks.housekeeping.plan import told
from tests.artifacts.test_evidence import evidence
from tests.tasks.housekeeping.places import OLD, Places, aged


def leftover(places: Places, days: float = OLD) -> str:
    store = layout.store_of(places.registry)
    path = aged(store.path(store.put_bytes(f"left {days}".encode())), days)
    return str(path.relative_to(places.folder))


def test_what_a_killed_publication_left_goes_once_it_is_old(places: Places) -> None:
    places.release("1.0.0", "latest")
    old = leftover(places)
    leftover(places, days=1)
    assert places.going() == {old}


def test_releases_evidence_and_signatures_stay_whatever_their_age(places: Places) -> None:
    places.release("1.0.0", "latest", days=4000)
    digest = layout.tags(places.registry)["latest"]
    attach(places.registry, evidence(digest))
    LayoutPlace(places.registry).write(signature_tag(digest), b"{}")
    for path in (places.registry / "blobs" / "sha256").iterdir():
        aged(path, 4000)
    assert places.going(days=0) == set()


def test_what_only_a_forgotten_version_has_goes_at_once(places: Places) -> None:
    places.release("1.0.0", days=1)
    before = set(places.registry.rglob("blobs/sha256/*"))
    places.release("1.1.0", "latest", days=1)
    shared = {path for path in before if path.name in {one.digest[7:] for one in shared_files()}}
    going = places.going("1.0.0")
    assert going == {str(path.relative_to(places.folder)) for path in before - shared}
    assert places.going() == set()


def shared_files() -> list[layout.Blob]:
    from tests.artifacts.releases import SHARED, blob_of

    return [blob_of(data) for data in SHARED.values()]


@pytest.mark.parametrize(("name", "error"), [("1.1.0", ReleaseInUse), ("latest", UnknownTag), ("2.0.0", UnknownTag)])
def test_only_a_version_that_no_channel_means_can_be_forgotten(
    places: Places, name: str, error: type[Exception]
) -> None:
    places.release("1.0.0")
    places.release("1.1.0", "latest")
    with pytest.raises(error):
        places.plan(name)


def test_old_versions_are_counted_and_it_is_said_how_one_is_removed(places: Places) -> None:
    places.release("1.0.0")
    places.release("1.1.0", "latest")
    text = told(places.plan())
    assert "1 release is in the registry that no channel means: 1.0.0." in text and "--forget VERSION" in text
    assert "no channel means" not in told(places.plan("1.0.0"))


def test_where_something_cannot_be_followed_everything_stays(places: Places) -> None:
    places.release("1.0.0", "latest")
    leftover(places)
    name = "sha256-" + "0" * 64
    tag = layout.TagChange(
        name,
        {
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": "sha256:" + "1" * 64,
            "size": 2,
            "annotations": {"org.opencontainers.image.ref.name": name},
        },
        False,
    )
    layout.retag(places.registry, [tag])
    plan = places.plan()
    assert not [item for item in plan.items if item.kind is Kind.REGISTRY]
    assert "so all of it stays" in told(plan)


def test_a_registry_that_does_not_exist_is_empty(places: Places) -> None:
    assert places.plan().notes == () and not places.registry.exists()
