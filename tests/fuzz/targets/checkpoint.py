"""`tasks.network.checkpoint`: weights from anywhere, which are a pickle.

The first byte says what the rest is: the whole file, or the pickle inside an otherwise sound archive.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from functools import cache

import torch
from torch import nn

from tasks.errors import CheckpointError
from tasks.network.checkpoint import load_checkpoint
from tests.fuzz.places import scratch, written

_FILE, _PICKLE = b"\0", b"\1"


@cache
def network() -> nn.Module:
    torch.set_num_threads(1)
    return nn.Sequential(OrderedDict(layer=nn.Linear(3, 2), norm=nn.BatchNorm1d(2)))


def target(data: bytes) -> None:
    """Load it into a small network; nothing that it says is run."""
    kind, rest = data[:1], data[1:]
    path = written("weights.pth", around(rest) if kind == _PICKLE else rest)
    try:
        load_checkpoint(path, network())
    except CheckpointError as error:
        str(error).encode()
    assert not (scratch() / "executed").exists() and "FUZZ_EXECUTED" not in os.environ
    assert all(bool(torch.isfinite(value).all()) for value in network().state_dict().values())


def around(pickle: bytes) -> bytes:
    whole, packed = saved({"state_dict": network().state_dict()}), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickle if name.endswith("/data.pkl") else old.read(name))
    return packed.getvalue()


def saved(content: object, *, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return os.putenv, ("FUZZ_EXECUTED", "1")


def seeds() -> Iterator[bytes]:
    """Both layouts, and pickles of every content that occurs, one that would run code among them."""
    state = network().state_dict()
    contents: tuple[object, ...] = (
        {"epoch": 3, "state_dict": state},
        state,
        {"state_dict": {f"module.{k}": v for k, v in state.items()}},
    )
    for content in contents:
        yield _FILE + saved(content, zipped=False)
        whole = saved(content)
        yield _FILE + whole
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            yield _PICKLE + archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))
    yield _FILE + saved(_Runs())
    half = {key: value.half() for key, value in state.items()}
    yield _FILE + saved(half)
