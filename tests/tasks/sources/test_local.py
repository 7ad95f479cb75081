from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.download import Source, fetch, list_folder
from tasks.errors import DigestMismatch, FailureKind, SourceMissing, SourceUnavailable
from tests.tasks.sources.origin import numbered
from tests.tasks.sources.support import QUICK, names, source_of

CONTENT = numbered(3 << 20)


def test_a_local_file_is_copied_and_checked(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(CONTENT)
    fetched = fetch(source_of(CONTENT, f"file://{tmp_path}/from"), tmp_path / "to" / "a", options=QUICK)
    assert (tmp_path / "to" / "a").read_bytes() == CONTENT
    assert fetched.mirror == f"file://{tmp_path}/from"
    assert (tmp_path / "from").read_bytes() == CONTENT
    assert names(tmp_path / "to") == ["a"]


def test_a_relative_path_starts_at_the_base(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(CONTENT)
    fetch(source_of(CONTENT, "from"), tmp_path / "a", options=QUICK.model_copy(update={"base": tmp_path}))
    assert (tmp_path / "a").exists()


@pytest.mark.parametrize("size", [True, False])
def test_a_local_file_with_other_bytes_is_refused(tmp_path: Path, size: bool) -> None:
    (tmp_path / "from").write_bytes(CONTENT[:-1])
    with pytest.raises(DigestMismatch):
        fetch(source_of(CONTENT, str(tmp_path / "from"), size=size), tmp_path / "a", options=QUICK)
    assert names(tmp_path) == ["from"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceUnavailable, match="not a regular file") as caught:
        fetch(source_of(CONTENT, str(tmp_path / "pipe")), tmp_path / "a", options=QUICK)
    assert caught.value.failures[0].kind is FailureKind.REFUSED


def test_a_name_that_leaves_the_folder_is_refused() -> None:
    for mirror in ("mirror/", "https://h/mirror/"):
        with pytest.raises(ValueError, match="no relative path below it"):
            Source(name="../../etc/passwd", mirrors=(mirror,), digest="sha256:" + "0" * 64)


def test_the_images_of_a_folder_come_in_one_order_everywhere(tmp_path: Path) -> None:
    for name in ("b.JPG", "A.png", "c.jpeg", "a.bmp", "x.txt", ".hidden.jpg", "d.jpg.part", "noext"):
        (tmp_path / name).touch()
    (tmp_path / "sub.jpg").mkdir()
    (tmp_path / "sub.jpg" / "e.jpg").touch()
    assert [path.name for path in list_folder(tmp_path)] == ["a.bmp", "A.png", "b.JPG", "c.jpeg"]


def test_a_folder_without_images_tells_what_it_holds(tmp_path: Path) -> None:
    for name in ("a.tiff", "b.TIFF", "readme"):
        (tmp_path / name).touch()
    with pytest.raises(SourceMissing, match=r"2 with \.tiff, 1 with no suffix"):
        list_folder(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="images: cannot be listed"):
        list_folder(tmp_path / "images")


def test_the_photographs_of_a_real_folder_are_all_listed(coco_mini: Path) -> None:
    assert len(list_folder(coco_mini / "val2017")) == 100
