"""What ``detect`` leaves in its output folder."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Optional, Sequence, Type

from artifacts.files import free_bytes
from inference.annotate import Annotator, annotated_pictures, annotated_video
from inference.errors import OptionError, OutputError
from inference.live import file_stem
from inference.output_files import JsonList, check_writable
from inference.results import category_ids, coco_entries, image_ids
from inference.sources import Source
from inference.stream import Result
from inference.vendor_json import INDENT, vendor_file_name, vendor_result

RESULTS_FILE = "detections.json"

_LEAST_SPACE = 16 * 1024 * 1024


def prepare_folder(folder: Path, source: Source, *, beside: Optional[Path], pictures: bool) -> None:
    """Make the output folder, and find out now rather than hours later what will not work.

    Args:
        folder: The output folder.
        source: Where the frames come from.
        beside: The folder that the input lies in, or is; None where it is no file.
        pictures: Whether pictures or a video will be written.

    Raises:
        OptionError: The originals could be overwritten.
        OutputError: The folder cannot be made or written, or has too little space.
    """
    if pictures and beside is not None and folder.resolve() == beside.resolve():
        raise OptionError(f"--output is the input's own folder {folder}: the originals would be overwritten")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        taken = next((path for path in (folder, *folder.parents) if path.is_file()), folder)
        raise OutputError(
            f"the output folder {folder} cannot be made: {taken} is a file. Name a folder by --output", folder
        ) from error
    except OSError as error:
        raise OutputError(f"the output folder {folder} cannot be made: {error}", folder) from error
    needed = max(_space_for_pictures(source) if pictures else 0, _LEAST_SPACE)
    free = free_bytes(folder)
    if free is not None and free < needed:
        raise OutputError(
            f"{folder} has {free >> 20} MB free, and at least {needed >> 20} MB will be needed. Free some space"
            + (", or leave the pictures out by --no-pictures" if pictures else ""),
            folder,
        )
    check_writable(folder / RESULTS_FILE)


class Outputs:
    """The files of one run. Leaving the ``with`` block finishes them, also after an error: what was added is whole.

    Attributes:
        annotator: What draws, or None.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        class_names: Sequence[str],
        *,
        bmodel: Path,
        pictures: bool = True,
        vendor_json: bool = False,
    ) -> None:
        """Make the temporary files.

        Args:
            folder: It exists.
            source: Where the frames come from.
            class_names: The name of each class id.
            bmodel: The model's file, which the vendor's file name holds.
            pictures: Whether to write annotated pictures, or a video of what is no image files.
            vendor_json: Whether to write the vendor's format too.

        Raises:
            OutputError: A file cannot be made.
        """
        self.annotator: Optional[Annotator] = None
        self._categories = category_ids(class_names)
        self._numbers = None if source.files is None else image_ids([file.name for file in source.files])
        self._vendor: Optional[JsonList] = None
        with ExitStack() as stack:
            self._results = stack.enter_context(JsonList(folder / RESULTS_FILE))
            if vendor_json:
                name = vendor_file_name(bmodel, file_stem(source.name) if source.live else source.name)
                self._vendor = stack.enter_context(JsonList(folder / name, indent=INDENT))
            if pictures and source.files is not None:
                self.annotator = annotated_pictures(folder, class_names)
            elif pictures:
                self.annotator = annotated_video(folder / _video_name(source), source, class_names)
            if self.annotator is not None:
                stack.callback(self.annotator.close)
            self._stack = stack.pop_all()

    def add(self, result: Result) -> None:
        """Write one result, or have it written.

        Raises:
            OutputError: Something cannot be written.
        """
        number = result.index + 1 if self._numbers is None else self._numbers[result.index]
        for entry in coco_entries(number, result.name, result.detections, self._categories, time_s=result.time_s):
            self._results.add(entry)
        if self._vendor is not None:
            self._vendor.add(vendor_result(result.name, result.detections))
        if self.annotator is not None:
            self.annotator.add(result)

    def close(self) -> None:
        """Finish every file and give it its name. May be called twice.

        Raises:
            OutputError: A file cannot be finished; the others are.
        """
        self._stack.close()

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def _video_name(source: Source) -> str:
    return f"{file_stem(source.name) if source.live else Path(source.name).stem}.mp4"


def _space_for_pictures(source: Source) -> int:
    """Bytes that annotated pictures will take at least: half of the originals, were those of the finest quality."""
    sizes = 0
    for file in source.files or ():
        with suppress(OSError):  # who reads it will say so
            sizes += file.stat().st_size
    return sizes // 2
