"""Where images come from: files, folders, videos, cameras, streams and arrays, all as one kind of source."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Callable, Iterable, List, Optional, Protocol, Sequence, Tuple, Union

import numpy as np

from inference.errors import ImageError, OptionError
from inference.feeding import Picture
from inference.images import decode_image, read_file

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})

STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "srt")

_CAMERA = re.compile(r"camera:(\d{1,4})|/dev/video\d+")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")

# The first bytes of JPEG, PNG and BMP.
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"BM")


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a source, or why there is none.

    Attributes:
        index: Its place in the source, from 0; unreadable files and dropped frames have places too.
        name: File name, or the source's name and the number of the frame, from 1: ``street.mp4#17``.
        image: uint8 [H, W, 3], BGR, or an image on the device; or the error, which names it.
        time_s: Seconds since the start of the video or, live, since the first frame; None where there is no time.
        read_s: Seconds that reading and decoding it took; live, that is not counted.
    """

    index: int
    name: str
    image: Union[Picture, ImageError]
    time_s: Optional[float] = None
    read_s: float = 0.0


Pending = Callable[[], Frame]
"""What becomes a frame when it is called, once, in any thread: image files are read by several at a time."""


@dataclass(frozen=True)
class FileFrame:
    """An image file that becomes a frame when it is called.

    Attributes:
        index: Its place in the source.
        path: The file.
    """

    index: int
    path: Path

    def __call__(self, decode: Callable[[bytes, Path], Picture] = decode_image) -> Frame:
        """Read it.

        Args:
            decode: Makes an image of the file's bytes, or raises an `ImageError`.
        """
        started = time.perf_counter()
        image: Union[Picture, ImageError]
        try:
            image = decode(read_file(self.path), self.path)
        except ImageError as error:
            image = error
        return Frame(self.index, self.path.name, image, read_s=time.perf_counter() - started)


class Source(Protocol):
    """Frames in their order. One thread takes; `interrupt` may come from another."""

    @property
    def name(self) -> str:
        """What it is called, without passwords."""

    @property
    def live(self) -> bool:
        """Whether frames come by themselves, so that old ones are dropped where nobody takes them."""

    @property
    def files(self) -> Optional[Sequence[Path]]:
        """The image files, by the index of their frame; None where it is something else."""

    @property
    def total(self) -> Optional[int]:
        """How many frames there should be; None where nobody knows."""

    @property
    def fps(self) -> Optional[float]:
        """Frames a second of a video or a live source, once it is open; None where there is no such thing."""

    @property
    def dropped(self) -> int:
        """How many frames were left out because newer ones had come."""

    def take(self, limit: int) -> List[Pending]:
        """The next frames, at most ``limit``; none at the end. Live: waits for one, and never for a second.

        Raises:
            SourceError: There are no frames any more, and it is not the end.
        """

    def interrupt(self) -> None:
        """Let a `take` that waits come back, and every later one come back at once."""

    def close(self) -> None:
        """Free what is open. May be called twice, by the thread that takes."""


class Given:
    """A source that waits for whoever takes from it, and drops nothing."""

    live = False
    dropped = 0

    def __init__(
        self,
        name: str,
        frames: Iterable[Pending],
        *,
        total: Optional[int] = None,
        fps: Optional[float] = None,
        files: Optional[Sequence[Path]] = None,
    ) -> None:
        """Wrap what gives the frames.

        Args:
            name: What it is called.
            frames: Iterated over in the thread that takes.
            total: How many there should be.
            fps: Frames a second, where that means something.
            files: The image files, where the frames are such.
        """
        self.name = name
        self.total = total
        self.fps = fps
        self.files = files
        self._frames = iter(frames)
        self._interrupted = False

    def take(self, limit: int) -> List[Pending]:
        """The next frames; see `Source.take`."""
        return [] if self._interrupted else list(islice(self._frames, limit))

    def interrupt(self) -> None:
        """Give nothing more; see `Source.interrupt`."""
        self._interrupted = True

    def close(self) -> None:
        """Free what is open: the frames' own iterator does."""
        self._frames = iter(())


SourceLike = Union[str, Path, np.ndarray, Source, Iterable[Union[np.ndarray, str, Path]]]
"""What `open_source` takes."""


def open_source(source: SourceLike, *, limit: Optional[int] = None) -> Source:
    """Make a source of what a user names or has.

    Cameras and streams are not opened yet: their first `take` does.

    Args:
        source: An image file, a folder (its images by name, without its sub-folders), a video file; ``camera:N`` or
            ``/dev/videoN``; an ``rtsp://``, ``http://`` or other stream; one array, or an iterable of arrays and image
            files. Arrays are uint8 [H, W, 3] in BGR order.
        limit: The most frames to give; None for all.

    Returns:
        The source.

    Raises:
        OptionError: The text is no source, or ``limit`` is below 1.
        ImageError: There is no such file or folder, or no image in the folder.
        SourceError: It is no image and OpenCV cannot read it as a video.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"limit is {limit}: at least 1 image has to be looked at")
    if isinstance(source, (str, Path)):
        return _named_source(str(source), limit)
    if isinstance(source, np.ndarray) and source.ndim == 3:
        source = [source]
    if isinstance(source, (np.ndarray, Iterable)):
        total = len(source) if isinstance(source, (np.ndarray, list, tuple)) else None
        frames = (_item(index, item) for index, item in enumerate(source))
        return Given("images", islice(frames, limit), total=_least(total, limit))
    return source


def list_images(source: Path) -> Tuple[Path, ...]:
    """The images of a folder, by name; or the one file.

    Args:
        source: One image file, or a folder; its sub-folders are not looked into.

    Returns:
        At least one path.

    Raises:
        ImageError: There is no such file or folder, or no image in it.
    """
    if source.is_file():
        return (source,)
    if not source.is_dir():
        raise ImageError(f"there is no image, folder or video {source}. Check the name.", source)
    images = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not images:
        raise ImageError(f"the folder {source} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})", source)
    return tuple(images)


def is_live(text: str) -> bool:
    """Whether a text names a camera or a stream, and not a file or a folder.

    Raises:
        OptionError: It looks like one, but is none.
    """
    if _CAMERA.fullmatch(text):
        return True
    url = _URL.match(text)
    if url is not None and url.group(1).lower() in STREAM_SCHEMES:
        return True
    if url is not None or text.startswith("camera:"):
        shown = text.rpartition("@")[2]
        raise OptionError(
            f"{shown!r} is no source: give an image, a folder, a video file, camera:0, /dev/video0, or a stream "
            f"({', '.join(name + '://' for name in STREAM_SCHEMES)})"
        )
    return False


def is_image(path: Path) -> bool:
    """Whether a file is an image by its name or its first bytes; anything else may be a video."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(8).startswith(_IMAGE_STARTS)
    except OSError:
        return True  # the reader of images says why it cannot be read


def _named_source(text: str, limit: Optional[int]) -> Source:
    # Imported here: both import this module for what a frame is.
    from inference.live import open_live
    from inference.video import Video

    if is_live(text):
        return open_live(text, limit=limit)
    path = Path(text)
    if path.is_file() and not is_image(path):
        video = Video(path)
        return Given(path.name, islice(video, limit), total=_least(video.total, limit), fps=video.fps)
    files = list_images(path)[:limit]
    frames = (FileFrame(index, file) for index, file in enumerate(files))
    return Given(path.absolute().name, frames, total=len(files), files=files)


def _least(total: Optional[int], limit: Optional[int]) -> Optional[int]:
    return limit if total is None else min(total, limit or total)


def _item(index: int, item: Union[np.ndarray, str, Path]) -> Pending:
    if isinstance(item, (str, Path)):
        return FileFrame(index, Path(item))
    return partial(Frame, index, f"image {index + 1}", item)
