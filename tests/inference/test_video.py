"""Videos: whole ones, cut ones, and those that are written."""

from __future__ import annotations

from pathlib import Path
from typing import List, Tuple

import cv2
import numpy as np
import pytest

from inference import video as video_module
from inference.errors import ImageError, OutputError, SourceError
from inference.sources import Frame
from inference.video import Video, VideoFile
from tests.inference.videos import index_first, number_of, picture, write_video


def split(path: Path) -> Tuple[List[int], List[ImageError]]:
    """The numbers of the frames that could be decoded, and the errors."""
    frames: List[Frame] = [pending() for pending in Video(path)]
    errors = [frame.image for frame in frames if isinstance(frame.image, ImageError)]
    return [number_of(frame.image) for frame in frames if isinstance(frame.image, np.ndarray)], errors


@pytest.mark.parametrize("name, codec", [("v.mp4", "mp4v"), ("v.avi", "MJPG"), ("v.mkv", "mp4v")])
def test_every_frame_of_a_whole_video_comes_out(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, 12, codec=codec)
    assert split(path) == (list(range(12)), [])
    assert (Video(path).total, Video(path).fps) == (12, 10.0)


@pytest.mark.parametrize("name, codec, share", [("v.mp4", "mp4v", 0.8), ("v.avi", "MJPG", 0.5)])
def test_a_video_that_ends_mid_frame_gives_what_decodes_and_says_how_much(
    tmp_path: Path, name: str, codec: str, share: float
) -> None:
    data = write_video(tmp_path / name, 24, codec=codec).read_bytes()
    data = index_first(data) if codec == "mp4v" else data
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(data[: int(len(data) * share)])
    numbers, errors = split(cut)
    assert numbers[:2] == [0, 1] and 2 <= len(numbers) < 24
    assert len(errors) == 1 and f"{len(numbers)} of the 24 frames" in str(errors[0]) and cut.name in str(errors[0])


def test_a_video_without_its_index_is_refused_with_the_likely_cause(tmp_path: Path) -> None:
    data = write_video(tmp_path / "v.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match="cut short"):
        Video(tmp_path / "cut.mp4")


def test_one_frame_fewer_than_estimated_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.mp4", 12)
    for announced, errors in ((13, 0), (14, 1)):
        monkeypatch.setattr(video_module, "frame_count", lambda capture, count=announced: count)
        assert len(split(path)[1]) == errors


def test_frames_too_large_to_decode_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_module, "MAX_PIXELS", 96 * 64 - 1)
    with pytest.raises(SourceError, match="96 x 64"):
        Video(write_video(tmp_path / "v.mp4", 2))


def test_a_written_video_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    video = VideoFile(path, 12.5)
    for number in range(10):
        video.write(picture(number))
    assert not path.exists()
    video.close()
    video.close()
    assert list(tmp_path.iterdir()) == [path]
    written = Video(path)
    assert (written.total, written.fps) == (10, 12.5)
    assert split(path)[0] == list(range(10))


def test_a_picture_can_last_several_frames_and_one_of_another_size_is_scaled(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "out.mp4")
    video.write(picture(3), times=4)
    video.write(np.repeat(np.repeat(picture(5), 2, axis=0), 2, axis=1))
    video.close()
    assert split(tmp_path / "out.mp4")[0] == [3, 3, 3, 3, 5]
    assert Video(tmp_path / "out.mp4").fps == 25.0


def test_without_a_frame_there_is_no_video(tmp_path: Path) -> None:
    VideoFile(tmp_path / "out.mp4").close()
    assert list(tmp_path.iterdir()) == []


def test_odd_sizes_lose_a_line(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "out.mp4")
    video.write(picture(1, width=97, height=65))
    video.close()
    (pending,) = Video(tmp_path / "out.mp4")
    image = pending().image
    assert isinstance(image, np.ndarray) and image.shape == (64, 96, 3)


def test_a_full_disk_is_an_error_and_what_was_written_before_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = VideoFile(tmp_path / "out.mp4")
    for number in range(32):
        video.write(picture(number % 20))
    monkeypatch.setattr(video_module, "free_bytes", lambda path: 0)
    with pytest.raises(OutputError, match="the disk is full"):
        video.write(picture(0))
    video.close()
    assert len(split(tmp_path / "out.mp4")[0]) == 32


def test_a_video_that_lost_frames_on_the_way_to_the_disk_never_gets_its_name(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "out.mp4")
    video.write(picture(0))
    video.frames += 1  # as if the writer had swallowed one
    with pytest.raises(OutputError, match="1 of 2 frames"):
        video.close()
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_cannot_be_opened_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda self: False, raising=False)
    monkeypatch.setattr(video_module, "_MPEG4", int.from_bytes(b"none", "little"))
    with pytest.raises(OutputError, match="--no-pictures"):
        VideoFile(tmp_path / "out.mp4").write(picture(0))
    assert list(tmp_path.iterdir()) == []
