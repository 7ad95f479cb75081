"""One source to one place: what is believed, what is kept, what is said."""

from __future__ import annotations

import gzip
import hashlib
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.download import Fetched, Options, Source, fetch
from tasks.errors import (
    DigestMismatch,
    DigestUnknown,
    FailureKind,
    NoSpaceForDownload,
    SourceMissing,
    SourceUnavailable,
    TargetUnusable,
)
from tests.tasks.sources import origin as o
from tests.tasks.sources.support import QUICK, Waits, names, sha256, source_of

CONTENT = o.numbered(50_001)
CHANGED = o.numbered(50_001, seed=900_000)


@pytest.fixture
def origin() -> Iterator[o.Origin]:
    with o.running() as origin:
        yield origin


def trusting(folder: Path) -> Options:
    return QUICK.model_copy(update={"record_first_use": True, "lock_file": folder / "sources.lock.json"})


def test_a_file_that_is_there_and_right_is_hashed_and_not_asked_for(origin: o.Origin, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    fetched = fetch(source_of(CONTENT, origin.put("/a", CONTENT)), tmp_path / "a", options=QUICK)
    assert fetched == Fetched(path=tmp_path / "a", digest=sha256(CONTENT), size=len(CONTENT), mirror=None)
    assert origin.requests == []


@pytest.mark.parametrize("there", [CHANGED, CONTENT[:-1], b""])
def test_a_file_that_is_there_and_wrong_is_replaced(origin: o.Origin, tmp_path: Path, there: bytes) -> None:
    (tmp_path / "a").write_bytes(there)
    fetch(source_of(CONTENT, origin.put("/a", CONTENT)), tmp_path / "a", options=QUICK)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_wrong_file_stays_as_it_is_when_the_right_one_cannot_be_had(origin: o.Origin, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(SourceMissing):
        fetch(source_of(CONTENT, origin.url + "/none"), tmp_path / "a", options=QUICK)
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert names(tmp_path) == ["a"]


def test_weights_known_by_sha384_are_checked_by_it_and_named_by_sha256(origin: o.Origin, tmp_path: Path) -> None:
    digest = "sha384:" + hashlib.sha384(CONTENT).hexdigest()
    source = Source(name="weights", mirrors=(origin.put("/a", CONTENT),), digest=digest)
    assert fetch(source, tmp_path / "a", options=QUICK).digest == sha256(CONTENT)
    assert fetch(source, tmp_path / "a", options=QUICK).mirror is None
    (tmp_path / "a").unlink()
    origin.put("/a", CHANGED)
    with pytest.raises(DigestMismatch, match=digest):
        fetch(source, tmp_path / "a", options=QUICK)


def test_mirrors_are_asked_in_order_and_all_their_reasons_are_told(origin: o.Origin, tmp_path: Path) -> None:
    missing, refused, wrong = origin.url + "/none", origin.put("/r", b"", o.status(403)), origin.put("/w", CHANGED)
    local = str(tmp_path / "absent")
    with pytest.raises(SourceUnavailable) as caught:
        fetch(source_of(CONTENT, missing, refused, wrong, local), tmp_path / "a", options=QUICK)
    kinds = [failure.kind for failure in caught.value.failures]
    assert kinds == [FailureKind.MISSING, FailureKind.REFUSED, FailureKind.WRONG_BYTES, FailureKind.MISSING]
    for mirror in (missing, refused, wrong, local):
        assert mirror in str(caught.value)
    assert len(origin.requests) == 3


def test_the_mirror_after_a_wrong_one_is_used(origin: o.Origin, tmp_path: Path) -> None:
    wrong, right = origin.put("/w", CHANGED), origin.put("/r", CONTENT)
    assert fetch(source_of(CONTENT, wrong, right), tmp_path / "a", options=QUICK).mirror == right
    assert names(tmp_path) == ["a"]


def test_what_one_mirror_began_the_next_one_completes(origin: o.Origin, tmp_path: Path) -> None:
    began, rest = origin.put("/b", CONTENT, o.cut(20_000), otherwise=o.status(404)), origin.put("/r", CONTENT)
    fetch(source_of(CONTENT, began, rest), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert origin.sent == len(CONTENT)
    # The mark of one server's version means nothing to another.
    assert "If-Range" not in origin.requests[-1].headers


def test_a_wrong_digest_everywhere_is_an_error_after_one_request_each(origin: o.Origin, tmp_path: Path) -> None:
    mirrors = origin.put("/1", CHANGED), origin.put("/2", CHANGED)
    with pytest.raises(DigestMismatch) as caught:
        fetch(source_of(CONTENT, *mirrors), tmp_path / "a", options=QUICK)
    assert len(origin.requests) == 2
    assert not caught.value.transient
    assert sha256(CONTENT) in str(caught.value)
    assert sha256(CHANGED) in str(caught.value)
    assert names(tmp_path) == []


def test_partial_bytes_of_another_version_are_not_built_upon(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT, o.cut(20_000), otherwise=o.status(404))
    with pytest.raises(SourceMissing):
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert names(tmp_path) == ["a.part", "a.part.meta"]
    fetch(source_of(CHANGED, origin.put("/new", CHANGED)), tmp_path / "a", options=QUICK)
    assert [(request.path, request.headers.get("Range")) for request in origin.requests][-1] == ("/new", None)
    assert [request.path for request in origin.requests].count("/new") == 1
    assert (tmp_path / "a").read_bytes() == CHANGED
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("have", [20_000, len(CONTENT)])
def test_partial_bytes_that_rotted_on_the_disk_are_fetched_again(origin: o.Origin, tmp_path: Path, have: int) -> None:
    url = origin.put("/a", CONTENT, o.cut(20_000), otherwise=o.status(404))
    with pytest.raises(SourceMissing):
        fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    part = tmp_path / "a.part"
    part.write_bytes(CONTENT[: have - 1] + b"\xff")
    del origin.otherwise["/a"]
    fetch(source_of(CONTENT, url), tmp_path / "a", options=QUICK, clock=Waits().clock())
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_bytes_that_nobody_can_check_are_refused_before_any_request(origin: o.Origin, tmp_path: Path) -> None:
    with pytest.raises(DigestUnknown, match="photo"):
        fetch(Source(name="photo", mirrors=(origin.put("/a", CONTENT),)), tmp_path / "a", options=QUICK)
    assert origin.requests == []


def test_a_digest_recorded_on_first_use_is_enforced_from_then_on(origin: o.Origin, tmp_path: Path) -> None:
    source = Source(name="photo", mirrors=(origin.put("/a", CONTENT),))
    options = trusting(tmp_path)
    assert fetch(source, tmp_path / "a", options=options).digest == sha256(CONTENT)
    # Also without asking for recording, and also for the file that is there already.
    enforcing = options.model_copy(update={"record_first_use": False})
    assert fetch(source, tmp_path / "a", options=enforcing).mirror is None
    origin.put("/a", CHANGED)
    with pytest.raises(DigestMismatch, match=r"sources\.lock\.json"):
        fetch(source, tmp_path / "b", options=options)
    assert not (tmp_path / "b").exists()


def test_a_file_that_lies_there_is_not_what_gets_recorded(origin: o.Origin, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"from who knows where")
    source = Source(name="photo", mirrors=(origin.put("/a", CONTENT),))
    assert fetch(source, tmp_path / "a", options=trusting(tmp_path)).digest == sha256(CONTENT)


@pytest.mark.parametrize(
    ("before", "after", "ranges"),
    [
        (o.cut(20_000, o.serve_unmarked), o.serve_unmarked, [None, None]),
        (o.cut(20_000), o.serve_ignoring_if_range, [None, "bytes=20000-", None]),
    ],
    ids=["no mark", "mark ignored"],
)
def test_a_changed_file_is_not_pieced_together_when_no_digest_would_tell(
    origin: o.Origin, tmp_path: Path, before: o.Act, after: o.Act, ranges: list[str | None]
) -> None:
    url = origin.put("/a", CONTENT, before, o.other(CHANGED, after))
    fetched = fetch(
        Source(name="photo", mirrors=(url,)), tmp_path / "a", options=trusting(tmp_path), clock=Waits().clock()
    )
    assert fetched.digest == sha256(CHANGED)
    assert origin.ranges == ranges


@pytest.mark.parametrize("act", [o.page, o.gzipped])
def test_what_is_plainly_not_the_file_is_never_recorded(origin: o.Origin, tmp_path: Path, act: o.Act) -> None:
    source = Source(name="photo", mirrors=(origin.put("/a", CONTENT, otherwise=act),))
    with pytest.raises(SourceUnavailable):
        fetch(source, tmp_path / "a", options=trusting(tmp_path))
    assert names(tmp_path) == []


def test_a_file_that_is_compressed_itself_may_be_labelled_so(origin: o.Origin, tmp_path: Path) -> None:
    content = gzip.compress(CONTENT)
    fetch(source_of(content, origin.put("/a.gz", content, o.labelled_gzip)), tmp_path / "a.gz", options=QUICK)
    assert (tmp_path / "a.gz").read_bytes() == content


def test_a_folder_as_a_mirror_has_the_file_under_the_sources_name(origin: o.Origin, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "b #c.jpg").write_bytes(CHANGED)
    origin.put("/val/b%20%23c.jpg", CONTENT)
    options = QUICK.model_copy(update={"base": tmp_path})
    fetch(source_of(CONTENT, origin.url + "/val/", name="b #c.jpg"), tmp_path / "1", options=options)
    fetch(source_of(CHANGED, "mirror", name="b #c.jpg"), tmp_path / "2", options=options)
    assert ((tmp_path / "1").read_bytes(), (tmp_path / "2").read_bytes()) == (CONTENT, CHANGED)


def test_no_space_is_said_before_the_first_byte(origin: o.Origin, tmp_path: Path) -> None:
    options = QUICK.model_copy(update={"reserve": 1 << 60})
    with pytest.raises(NoSpaceForDownload) as caught:
        fetch(source_of(CONTENT, origin.put("/a", CONTENT), "/also/there"), tmp_path / "a", options=options)
    assert caught.value.needed_bytes == (1 << 60) + len(CONTENT)
    assert origin.requests == []
    assert names(tmp_path) == []


def test_a_target_that_is_a_folder_is_refused(origin: o.Origin, tmp_path: Path) -> None:
    with pytest.raises(TargetUnusable, match="it is a folder"):
        fetch(source_of(CONTENT, origin.put("/a", CONTENT)), tmp_path, options=QUICK)


def test_secrets_of_an_address_are_never_shown(
    origin: o.Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tasks")
    host = origin.url.removeprefix("http://")
    signed = origin.put("/signed", CONTENT, otherwise=o.status(503))
    origin.put("/moved", b"", otherwise=o.redirect(signed + "?X-Signature=hunter2"))
    nowhere = origin.put("/nowhere", b"", otherwise=o.redirect("http://127.0.0.1:1/?X-Signature=hunter2"))
    secret = f"http://user:hunter2@{host}"
    mirrors = (f"{secret}/none?token=hunter2", f"{secret}/moved", nowhere, f"zip+{secret}/signed?k=hunter2!/a")
    source = source_of(CONTENT, *mirrors)
    with pytest.raises(SourceUnavailable) as caught:
        fetch(source, tmp_path / "a", options=QUICK, clock=Waits().clock())
    errors = (caught.value, *caught.value.failures)
    shown = "".join("".join(traceback.format_exception(error)) for error in errors)
    shown += caplog.text + repr(source) + str(source)
    assert "hunter2" not in shown
    assert "/none?..." in shown
    assert origin.requests[0].headers["Authorization"].startswith("Basic ")


def test_secrets_of_a_refused_address_are_not_shown_either() -> None:
    with pytest.raises(ValidationError) as caught:
        Source(name="a", mirrors=("https://user:hunter2@:0x/a?sig=hunter2",))
    assert "hunter2" not in str(caught.value)


def test_the_lock_file_holds_no_secrets(origin: o.Origin, tmp_path: Path) -> None:
    url = origin.put("/a", CONTENT).replace("http://", "http://user:hunter2@") + "?sig=hunter2"
    fetched = fetch(Source(name="photo", mirrors=(url,)), tmp_path / "a", options=trusting(tmp_path))
    assert "hunter2" not in (tmp_path / "sources.lock.json").read_text() + repr(fetched)


@pytest.mark.parametrize("digest", ["md5:" + "0" * 32, "sha256:" + "0" * 63, "sha256:" + "A" * 64, "0" * 64])
def test_a_digest_in_another_grammar_is_refused(digest: str) -> None:
    with pytest.raises(ValidationError, match="is not a digest"):
        Source(name="a", mirrors=("a",), digest=digest)


def test_recording_needs_a_lock_file() -> None:
    with pytest.raises(ValidationError, match="needs a lock_file"):
        Options(record_first_use=True)
