"""What a JPEG says about itself in its markers (ITU-T T.81, B.1), without decoding any pixel."""

from __future__ import annotations

import re
import struct
from typing import List, NamedTuple, Optional, Tuple

# A marker. FF00 is a stuffed data byte and FFD0..FFD7 restart the entropy coder; both belong to the scan, and FFFF is
# fill before a marker (B.1.1.2 and B.1.1.5).
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_START, _END, _SCAN, _TEMPORARY = 0xD8, 0xD9, 0xDA, 0x01
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APP1, _APP14 = 0xE1, 0xEE

_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_ORIENTATION, _UPRIGHT = 0x0112, 1


class JpegHeader(NamedTuple):
    """What the markers say.

    Attributes:
        width: In pixels, before any EXIF rotation.
        height: In pixels, before any EXIF rotation.
        channels: Components: 1 gray, 3 colour, 4 CMYK.
        bits: Bits of one sample.
        complete: Whether the data reach to the end marker.
        scans: How often a decoder goes over the image.
        frame: The code of the frame's marker: 0xC0 baseline, 0xC1 extended sequential, 0xC2 progressive, others rare.
        ids: Each component's identifier.
        sampling: Each component's samples across and down in a unit of the image: (2, 2), (1, 1), (1, 1) for 4:2:0.
        transform: Of Adobe's APP14 marker: 0 none (RGB or CMYK), 1 YCbCr, 2 YCCK; None without the marker.
        turned: Whether EXIF may want it shown in another orientation than it is stored.
    """

    width: int
    height: int
    channels: int
    bits: int
    complete: bool
    scans: int
    frame: int
    ids: Tuple[int, ...]
    sampling: Tuple[Tuple[int, int], ...]
    transform: Optional[int]
    turned: bool


class _Frame(NamedTuple):
    code: int
    bits: int
    height: int
    width: int
    channels: int
    components: bytes


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Walk the markers: the first frame header has the size, EOI (FFD9) is the end.

    Args:
        data: The bytes of the whole file.

    Raises:
        ValueError: There is no frame header.
        struct.error: A segment is cut short.
    """
    scans, complete, turned = 0, False, False
    frame: Optional[_Frame] = None
    transforms: List[int] = []
    position = 2
    while True:
        # Searching, not stepping: after a scan header it skips the entropy-coded data. A thumbnail inside EXIF has
        # markers of its own, which the segment's length passes over.
        match = _MARKER.search(data, position)
        if match is None:
            break
        code = match.group(1)[0]
        position = match.end()
        if code == _END:
            complete = True
            break
        if code in (_START, _TEMPORARY):
            continue
        if position + 2 > len(data):
            break
        (length,) = struct.unpack_from(">H", data, position)
        if code in _FRAMES and frame is None:
            frame = _frame(code, data, position + 2)
        elif code == _APP1:
            turned = turned or _turns(data[position + 2 : position + length])
        elif code == _APP14 and data[position + 2 : position + 7] == b"Adobe" and length >= 14:
            transforms += data[position + 13 : position + 14]
        scans += code == _SCAN
        position += length
    if frame is None:
        raise ValueError("no frame header")
    ids, sampling = tuple(frame.components[0::3]), tuple((both >> 4, both & 15) for both in frame.components[1::3])
    return JpegHeader(
        frame.width,
        frame.height,
        frame.channels,
        frame.bits,
        complete,
        scans,
        frame.code,
        ids,
        sampling,
        transforms[-1] if transforms else None,
        turned,
    )


def _frame(code: int, data: bytes, start: int) -> _Frame:
    bits, height, width, channels = struct.unpack_from(">BHHB", data, start)
    return _Frame(code, bits, height, width, channels, data[start + 6 : start + 6 + 3 * channels])


def _turns(segment: bytes) -> bool:
    """Whether an APP1 segment asks for another orientation; where it cannot be read to its end, it may.

    As OpenCV reads it: what follows six bytes, whichever these are, is taken for TIFF (EXIF 2.3, 4.5.2 and 4.6.2), and
    an entry's type and count are not looked at.
    """
    tiff = segment[6:]
    order = _BYTE_ORDERS.get(tiff[:2])
    if order is None:
        return False
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, value = struct.unpack_from(f"{order}H6xH", tiff, place)
            if tag == _ORIENTATION and value != _UPRIGHT:
                return True
    except struct.error:
        return True
    return False
