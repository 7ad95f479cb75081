"""The weights of those layers of an int8 bmodel that stay in float16."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path

import numpy as np

from tasks.errors import GraphError

_SMALLEST_NORMAL = np.finfo(np.float16).smallest_normal


def without_subnormals(archive: Path, names: Collection[str]) -> bytes:
    """Set to zero what is too small for a normal float16 number, so that every way of compiling gives the same bits.

    Where weights travel compressed (`--compress_mode`, BM1688) float16 weights below 2^-14 arrive as zero; where they
    do not, they arrive as they are. In the heads of the full network, untrained, that is one weight in 350, and moved
    size and offset by up to 0.0003. With zeros from the start both are equal bit by bit, and the interpreter, and with
    it the accuracy that a release states, knows of it too.

    Args:
        archive: Weights by name, as the compiler keeps them.
        names: The arrays that become float16.

    Returns:
        The archive with these arrays changed; the same arrays give the same bytes.

    Raises:
        GraphError: It is no archive, or has no such array.
    """
    try:
        with np.load(archive) as loaded:
            arrays = dict(loaded)
    # NumPy reads the headers of arrays with Python's own parser; what its many readers stumble over is no short list.
    except Exception as error:
        raise GraphError(f"The compiler's weights are no archive of arrays: {error}.") from error
    missing = sorted(set(names) - set(arrays))
    if missing:
        raise GraphError(f"The compiler's weights have no array {', '.join(missing)}, which the network names.")
    # savez takes these two names for its own arguments.
    strange = [name for name, array in arrays.items() if not _is_plain(array) or name in ("file", "allow_pickle")]
    strange += [name for name in names if name not in strange and arrays[name].dtype.kind != "f"]
    if strange:
        raise GraphError(f"The compiler's weights have arrays that cannot be weights: {', '.join(strange[:10])}.")
    for name in names:
        rounded = np.clip(np.abs(arrays[name]), 0, 1).astype(np.float16)
        arrays[name] = np.where(rounded < _SMALLEST_NORMAL, arrays[name].dtype.type(0), arrays[name])
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


def _is_plain(array: object) -> bool:
    # A member that does not begin as arrays do comes back as its bytes.
    return isinstance(array, np.ndarray) and not array.dtype.hasobject
