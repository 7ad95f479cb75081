"""Pictures as JPEG files that stay small."""

from __future__ import annotations

import cv2
import numpy as np

_QUALITIES = (80, 60, 40, 20)


def encode(picture: np.ndarray, max_bytes: int) -> bytes:
    """Encode a picture, at a lower quality where it would be too large otherwise.

    Args:
        picture: uint8 [H, W, 3] BGR.
        max_bytes: What the file should not exceed; the lowest quality is taken although it does.

    Returns:
        A JPEG file; the same picture gives the same bytes (with one version of OpenCV).
    """
    data = b""
    for quality in _QUALITIES:
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        data = encoded.tobytes()
        if len(data) <= max_bytes:
            break
    return data


def shrunk(data: bytes, max_side: int, max_bytes: int) -> bytes:
    """Make a picture fit: smaller, and of a lower quality where that is not enough.

    Args:
        data: A picture in any format that OpenCV reads.
        max_side: Its longer side at most, in pixels.
        max_bytes: What the file should not exceed.

    Returns:
        A JPEG file; the very bytes that were given where they fit, or are no picture.
    """
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        return data
    scale = max_side / max(picture.shape[:2])
    if scale >= 1 and len(data) <= max_bytes:
        return data
    if scale < 1:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return encode(np.asarray(picture), max_bytes)
