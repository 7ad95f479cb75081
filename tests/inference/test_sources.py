"""What a user names or has becomes frames."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, List

import cv2
import numpy as np
import pytest

from inference.errors import ImageError, OptionError, SourceError
from inference.sources import Frame, Source, is_live, open_source
from tests.inference.videos import number_of, picture, write_video


def frames_of(source: Source, limit: int = 2) -> List[Frame]:
    found: List[Frame] = []
    while True:
        group = source.take(limit)
        assert len(group) <= limit
        if not group:
            source.close()
            return found
        found += [pending() for pending in group]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.JPG", "c.bmp")):
        data = cv2.imencode(Path(name).suffix.lower(), picture(number))[1].tobytes()
        (tmp_path / name).write_bytes(data)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "more.png").mkdir()
    return tmp_path


def test_a_folder_gives_its_images_by_name(folder: Path) -> None:
    source = open_source(folder)
    assert (source.total, source.live, source.fps) == (3, False, None)
    assert [path.name for path in source.files or ()] == ["a.png", "b.JPG", "c.bmp"]
    found = frames_of(source)
    assert [(frame.index, frame.name, frame.time_s) for frame in found] == [
        (0, "a.png", None),
        (1, "b.JPG", None),
        (2, "c.bmp", None),
    ]
    assert [number_of(frame.image) for frame in found if isinstance(frame.image, np.ndarray)] == [0, 1, 2]


def test_an_unreadable_image_is_an_error_in_its_place(folder: Path) -> None:
    (folder / "b.JPG").write_bytes((folder / "b.JPG").read_bytes()[:-20])
    found = frames_of(open_source(str(folder)))
    assert [isinstance(frame.image, ImageError) for frame in found] == [False, True, False]
    assert "b.JPG was cut short" in str(found[1].image)


def test_one_image_is_known_by_its_first_bytes_too(folder: Path) -> None:
    (folder / "a.png").rename(folder / "photograph")
    (frame,) = frames_of(open_source(folder / "photograph"))
    assert frame.name == "photograph" and isinstance(frame.image, np.ndarray)


def test_a_video_gives_numbered_frames_with_their_times(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "street.mp4", 5))
    assert (source.name, source.total, source.fps, source.files) == ("street.mp4", 5, 10.0, None)
    found = frames_of(source)
    assert [frame.name for frame in found] == [f"street.mp4#{number}" for number in range(1, 6)]
    assert [frame.time_s for frame in found] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_arrays_and_files_can_be_mixed_and_are_read_only_as_far_as_they_are_taken(folder: Path) -> None:
    given: List[int] = []

    def images() -> Iterator[object]:
        for item in (picture(5), str(folder / "a.png"), folder / "b.JPG", picture(6)):
            given.append(1)
            yield item

    source = open_source(images())  # type: ignore[arg-type]
    first = [pending() for pending in source.take(2)]
    assert len(given) == 2
    found = first + frames_of(source)
    assert [number_of(frame.image) for frame in found if isinstance(frame.image, np.ndarray)] == [5, 0, 1, 6]
    assert [frame.name for frame in found] == ["image 1", "a.png", "b.JPG", "image 4"]


def test_one_array_is_one_image_and_a_stack_of_arrays_several() -> None:
    assert open_source(picture(1)).total == 1
    assert len(frames_of(open_source(np.stack([picture(1), picture(2), picture(3)])))) == 3


@pytest.mark.parametrize("limit, count", [(1, 1), (2, 2), (9, 3)])
def test_no_more_is_given_than_the_limit(folder: Path, tmp_path: Path, limit: int, count: int) -> None:
    video = write_video(tmp_path / "v.mp4", 3)
    for what in (folder, video, [picture(0)] * 3):
        source = open_source(what, limit=limit)
        assert source.total == count
        assert len(frames_of(source)) == count


def test_an_interrupted_source_gives_nothing_more(folder: Path) -> None:
    source = open_source(folder)
    source.interrupt()
    assert source.take(5) == []


def test_an_empty_folder_a_missing_file_and_what_is_neither_image_nor_video_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image, no video")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="holds no image"):
        open_source(tmp_path / "empty")
    with pytest.raises(ImageError, match="there is no image, folder or video"):
        open_source(tmp_path / "nothing.mp4")
    with pytest.raises(SourceError, match="neither a JPEG, PNG or BMP image nor a video"):
        open_source(tmp_path / "notes.txt")


@pytest.mark.parametrize("text", ["camera:0", "/dev/video3", "rtsp://door/main", "HTTP://door/x.mjpg", "udp://@:5000"])
def test_cameras_and_streams_are_live(text: str) -> None:
    assert is_live(text) and open_source(text).live


@pytest.mark.parametrize("text", ["camera:front", "camera:", "ftp://user:secret@door/x.mp4"])
def test_what_only_looks_like_a_live_source_is_wrong_usage_and_no_password_is_shown(text: str) -> None:
    with pytest.raises(OptionError, match="is no source") as caught:
        open_source(text)
    assert "secret" not in str(caught.value)


def test_a_limit_below_one_is_refused(folder: Path) -> None:
    with pytest.raises(OptionError, match="limit"):
        open_source(folder, limit=0)
