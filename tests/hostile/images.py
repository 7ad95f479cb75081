"""Images that claim too much, hold too little, or are something else."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from inference.errors import ImageError
from inference.images import decode_image, read_header
from tasks.errors import BadImage
from tasks.images import decode_checked
from tests.fuzz.targets import image
from tests.hostile.case import Case, either, refused
from tests.tasks.image_files import cmyk_jpeg, flat_png, scene, with_exif

_PATH = Path("a.jpg")


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Make a PNG of chunks."""
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _ihdr(width: int, height: int, bits: int = 8, colour: int = 0) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)


def _jpeg(width: int = 80, height: int = 66, *options: int) -> bytes:
    return bytes(cv2.imencode(".jpg", scene(1, width=width, height=height), options)[1].tobytes())


def resized_jpeg(width: int, height: int) -> bytes:
    """Make a JPEG whose header claims another size than it has."""
    data = bytearray(_jpeg())
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def many_scans(scans: int, side: int = 4096) -> bytes:
    """Make a progressive JPEG that has a decoder go over all its blocks again and again, for some bytes each time."""
    data = bytes(cv2.imencode(".jpg", np.zeros((side, side), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + b"\xff\xd9"


def _bombs() -> Iterator[tuple[str, bytes]]:
    body = zlib.compress(bytes(100_000), 9)
    for side in (12_000, 50_000, 2**31 - 1):
        yield f"a PNG of {side} x {side}", png(_ihdr(side, side), (b"IDAT", body), (b"IEND", b""))
    yield "a JPEG of 50 000 x 50 000", resized_jpeg(50_000, 50_000)
    yield "a JPEG of 65 535 x 65 535", resized_jpeg(65_535, 65_535)
    bmp = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, 50_000, 50_000, 1, 24, 1, 0, 0, 0, 0, 0)
    yield "a run-length coded BMP of 50 000 x 50 000", bmp
    yield "a BMP of -2^31 rows", bmp[:22] + struct.pack("<i", -(2**31)) + bmp[26:]
    yield "a PNG without pixels", png(_ihdr(0, 10), (b"IDAT", body), (b"IEND", b""))
    yield "a JPEG without rows", resized_jpeg(80, 0)
    yield "a JPEG without columns", resized_jpeg(0, 66)
    yield "a progressive JPEG of 10 000 scans", many_scans(10_000, 256)
    chunk = png(_ihdr(8, 8))
    for length in (2**31 - 1, 2**32 - 1, 0xF6000000):
        yield f"a PNG whose data claim {length} bytes", chunk + struct.pack(">I", length) + b"IDAT" + body + b"\0" * 12
        sound = png(_ihdr(8, 8), (b"IDAT", body))
        yield f"a PNG whose end claims {length} bytes", sound + struct.pack(">I", length) + b"IEND\xae\x42\x60\x82"
    yield "a PNG without data", png(_ihdr(8, 8), (b"IEND", b""))


def _others() -> Iterator[tuple[str, bytes]]:
    yield "an animated GIF", b"GIF89a\x08\x00\x08\x00\x80\x00\x00" + bytes(100)
    yield "an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    yield "a WebP", bytes(cv2.imencode(".webp", scene(1))[1].tobytes())
    yield "a TIFF", bytes(cv2.imencode(".tiff", scene(1))[1].tobytes())
    yield "a PPM", b"P6 99999 99999 255\n" + bytes(100)
    yield "an OpenEXR", b"\x76\x2f\x31\x01" + bytes(100)
    yield "a web page", b"<!doctype html><img src=a.png>"
    yield "zeros", bytes(1000)
    for suffix in (".jpg", ".png", ".bmp"):
        data = bytes(cv2.imencode(suffix, scene(1))[1].tobytes())
        for share in (0.02, 0.3, 0.7, 0.98):
            yield f"a {suffix} cut after {share:.0%}", data[: int(len(data) * share)]


def _odd() -> Iterator[tuple[str, bytes]]:
    for orientation in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 65_535):
        yield f"EXIF orientation {orientation}", with_exif(_jpeg(), orientation)
    yield "EXIF that leads in a circle", with_exif(_jpeg(), 6).replace(b"II*\0\x08\0\0\0", b"II*\0\0\0\0\0")
    yield "EXIF with entries without end", with_exif(_jpeg(), 6).replace(b"\x01\0\x12\x01", b"\xff\xff\x12\x01")
    yield "a 16-bit PNG", bytes(cv2.imencode(".png", scene(1).astype(np.uint16) * 257)[1].tobytes())
    yield "a CMYK JPEG", cmyk_jpeg()
    yield "a one-bit PNG", flat_png(65, 70)
    body = zlib.compress(bytes(9 * 8), 9)
    text = (b"zTXt", b"k\0\0" + zlib.compress(bytes(100 << 20), 9))
    yield "a PNG with a text that unpacks to 100 MB", png(_ihdr(8, 8), text, (b"IDAT", body), (b"IEND", b""))
    profile = (b"iCCP", b"p\0\0" + zlib.compress(bytes(100 << 20), 9))
    yield "a PNG with a profile that unpacks to 100 MB", png(_ihdr(8, 8), profile, (b"IDAT", body), (b"IEND", b""))
    more = (b"IDAT", zlib.compress(bytes(100 << 20), 9))
    yield "a PNG whose data unpack to more than its size", png(_ihdr(8, 8), more, (b"IEND", b""))
    yield "a PNG with two headers", png(_ihdr(8, 8), _ihdr(9000, 9000), (b"IDAT", body), (b"IEND", b""))
    animated = (b"acTL", struct.pack(">II", 2**31 - 1, 0))
    frame = (b"fcTL", struct.pack(">IIIIIHHBB", 0, 9000, 9000, 0, 0, 1, 1, 0, 0))
    yield "an animated PNG of 2^31 frames", png(_ihdr(8, 8), animated, frame, (b"IDAT", body), (b"IEND", b""))
    yield "a JPEG with 60 scans more", many_scans(50, 1024)


def cases(mutated: int) -> Iterator[Case]:
    """Images of every kind, for the device and for calibration.

    Args:
        mutated: How many sound ones with some bytes changed there shall be.
    """
    for what, data in [*_bombs(), *_others()]:
        yield Case(what, refused(_decoding(data), ImageError))
        yield Case(f"{what}, for calibration", refused(_calibrating(data), BadImage))
    for what, data in _odd():
        yield Case(what, either(_decoding(data), ImageError))
        yield Case(f"{what}, for calibration", either(_calibrating(data), BadImage))
    samples, dice = list(image.seeds()), random.Random(11)
    for number in range(mutated):
        changed = bytearray(dice.choice(samples))
        for _ in range(dice.choice((1, 2, 4, 16))):
            changed[dice.randrange(min(len(changed), 400))] = dice.randrange(256)
        yield Case(f"mutated {number}", either(_decoding(bytes(changed)), ImageError))


def _decoding(data: bytes) -> Callable[[], object]:
    def work() -> object:
        found = decode_image(data).shape[:2]
        header = read_header(data)
        assert sorted(found) == sorted((header.width, header.height))
        return found

    return work


def _calibrating(data: bytes) -> Callable[[], object]:
    return lambda: decode_checked(data, _PATH).shape
