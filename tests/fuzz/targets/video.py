"""`inference.video`: a video file, read by OpenCV's FFmpeg."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from inference.errors import ImageError, SourceError
from inference.images import MAX_PIXELS
from inference.video import Video, VideoFile
from tests.fuzz.places import written
from tests.tasks.image_files import scene


def target(data: bytes) -> None:
    """Read the first frames."""
    try:
        for pending in islice(Video(written("a.mp4", data)), 4):
            frame = pending()
            if not isinstance(frame.image, ImageError):
                assert frame.image.shape[0] * frame.image.shape[1] <= MAX_PIXELS
    except SourceError:
        return


def seeds() -> Iterator[bytes]:
    """Two frames of MPEG-4."""
    with tempfile.TemporaryDirectory() as name:
        video = VideoFile(Path(name) / "a.mp4")
        for number in range(2):
            video.write(scene(number, width=64, height=48))
        video.close()
        yield (Path(name) / "a.mp4").read_bytes()
