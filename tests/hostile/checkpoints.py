"""Checkpoints that want to run code, to fill the memory, or to be taken for weights."""

from __future__ import annotations

import io
import os
import pickle
import random
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from tasks.errors import CheckpointError
from tasks.network.checkpoint import load_checkpoint
from tests.fuzz.targets.checkpoint import around, network, saved
from tests.hostile.case import Case, either, refused

# What a pickle may name to have something run, as (module, name, arguments).
_CALLS: tuple[tuple[str, str, tuple[object, ...]], ...] = (
    ("os", "system", ("touch executed",)),
    ("posix", "system", ("touch executed",)),
    ("subprocess", "Popen", (["touch", "executed"],)),
    ("subprocess", "check_output", (["touch", "executed"],)),
    ("builtins", "eval", ("open('executed', 'w')",)),
    ("builtins", "exec", ("open('executed', 'w')",)),
    ("builtins", "open", ("executed", "w")),
    ("builtins", "getattr", ("", "join")),
    ("builtins", "__import__", ("antigravity",)),
    ("pathlib", "Path.touch", ("executed",)),
    ("shutil", "rmtree", ("executed",)),
    ("torch", "load", ("executed",)),
    ("torch", "save", (1, "executed")),
    ("torch.hub", "load", ("a/b", "c")),
    ("torch.utils.cpp_extension", "load", ("a", "b.cpp")),
    ("torch.jit", "load", ("executed",)),
    ("torch._utils", "_import_dotted_name", ("os.system",)),
    ("numpy", "load", ("executed",)),
    ("numpy.core.multiarray", "_reconstruct", ("x", (0,), b"b")),
    ("importlib", "import_module", ("antigravity",)),
    ("webbrowser", "open", ("http://localhost",)),
    ("ctypes", "CDLL", ("libc.so.6",)),
    ("socket", "socket", ()),
    ("asyncio", "run", (1,)),
    ("runpy", "run_path", ("executed",)),
    ("code", "interact", ()),
    ("pickle", "loads", (b"N.",)),
    ("marshal", "loads", (b"N",)),
    ("functools", "partial", (print, 1)),
    ("operator", "attrgetter", ("system",)),
)


def _call(module: str, name: str, arguments: tuple[object, ...], protocol: int) -> bytes:
    head = pickle.PROTO + bytes([protocol]) if protocol else b""
    packed = pickle.dumps(arguments, protocol=min(protocol, 2))
    body = packed[2:-1] if protocol >= 2 else packed[:-1]
    return head + f"c{module}\n{name}\n".encode() + body + b"R."


def _code() -> Iterator[tuple[str, bytes]]:
    for module, name, arguments in _CALLS:
        for protocol in (0, 2):
            raw = _call(module, name, arguments, protocol)
            yield f"a pickle of protocol {protocol} that calls {module}.{name}", raw
            yield f"an archive whose pickle of protocol {protocol} calls {module}.{name}", around(raw)
        state = _call(module, name, arguments, 2)[2:-1]
        wrapped = b"\x80\x02}X\n\x00\x00\x00state_dict" + state + b"s."
        yield f"a state_dict that calls {module}.{name}", around(wrapped)


def _bombs() -> Iterator[tuple[str, bytes]]:
    def asks(name: str, argument: bytes) -> bytes:
        return b"\x80\x02c" + name.encode() + b"\n" + argument + b"\x85R."

    tera = b"\x8a\x06" + (10**12).to_bytes(6, "little")
    yield "a pickle that asks for a terabyte", asks("builtins\nbytearray", tera)
    yield "the same in an archive", around(asks("builtins\nbytearray", tera))
    yield "a pickle that is nested 100 000 deep", b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    yield "a pickle with a tuple of a tuple of ... 100 000 times", b"\x80\x02)" + b"\x85" * 100_000 + b"."
    doubled = b"\x80\x02)" + b"2\x86" * 60 + b"."
    yield "a pickle of 2^60 elements that share", doubled
    yield "a text of 4 GB by its length", b"\x80\x02X\xff\xff\xff\xff" + b"a" * 100
    yield "bytes of 2^60 by their length", b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"a" * 100
    yield "a memo of 4 billion", b"\x80\x02]r\xff\xff\xff\xff."
    yield "a number of 2 GB by its length", b"\x80\x02\x8b\xff\xff\xff\x7f" + b"1" * 100
    old = saved({"state_dict": network().state_dict()}, zipped=False)
    for claimed in (10**11, 2**40, 2**62, -1):
        size = claimed.to_bytes(8, "little", signed=True)
        yield f"an old file with storages of {claimed} elements", old.replace(b"K\x06", b"\x8a\x08" + size, 1)
    yield "a zip that unpacks to 3 GiB", _zip_bomb()


def _zip_bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        with archive.open("archive/data/0", "w", force_zip64=True) as member:
            member.write(bytes(1 << 20))
    data = bytearray(packed.getvalue())
    # The directory says 3 GiB: nothing has to be written for that.
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = (3 << 30).to_bytes(4, "little")
    return bytes(data)


def _tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("../executed", "/executed", "storages", "tensors", "pickle"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"data"))
        link = tarfile.TarInfo("storages")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    return packed.getvalue()


def _strange() -> Iterator[tuple[str, object]]:
    state = network().state_dict()
    first = next(iter(state))
    weight = state[first]
    ring: dict[str, Any] = dict(state)
    ring["layer.bias"] = ring
    values: dict[str, object] = {
        "infinite": torch.full_like(weight, float("inf")),
        "no number": torch.full_like(weight, float("nan")),
        "whole numbers": weight.to(torch.int32),
        "truth values": weight > 0,
        "complex": weight.to(torch.complex64),
        "sparse": weight.to_sparse(),
        "quantized": torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8),
        "of no dimension": torch.tensor(1.0),
        "of a million by a million from one number": torch.zeros(1).expand(10**6, 10**6),
        "of another shape": weight[:1],
        "empty": torch.zeros(0),
        "on no device": weight.to("meta"),
        "double and beyond float": weight.double() * 1e300,
        "text": "0.5",
        "None": None,
        "a list": weight.tolist(),
        "a ring": ring,
    }
    for what, value in values.items():
        yield f"a weight that is {what}", {"state_dict": {**state, first: value}}
    yield "a dictionary that holds itself", ring
    yield "names that are numbers", dict(enumerate(state.values()))
    yield "a name of a million letters", {**state, "a" * 10**6: weight}
    yield "a name with control characters", {**state, "\x1b]0;x\x07": weight}
    yield "a list", list(state.values())
    yield "nothing", {}
    yield "an epoch that is no number and no state", {"epoch": "x"}
    yield "a state_dict that is a list", {"state_dict": [weight]}
    yield "the network itself", OrderedDict(state, more=network())


def cases(folder: Path, mutated: int) -> Iterator[Case]:
    """Checkpoints of every kind.

    Args:
        folder: Where they may be written.
        mutated: How many sound ones with some bytes changed there shall be.
    """
    crafted = [*_code(), *_bombs(), ("a tar that unpacks elsewhere", _tar())]
    for what, content in _strange():
        for zipped in (True, False):
            try:
                crafted.append((f"{what}, {'new' if zipped else 'old'} layout", saved(content, zipped=zipped)))
            except (RuntimeError, pickle.PicklingError):
                continue  # torch itself cannot write it so
    whole = [saved({"state_dict": network().state_dict()}, zipped=zipped) for zipped in (True, False)]
    for data in whole:
        crafted += [(f"cut after {share:.0%}", data[: int(len(data) * share)]) for share in (0.01, 0.3, 0.6, 0.9, 0.99)]
    for number, (what, data) in enumerate(crafted):
        yield Case(what, _loading(folder / f"crafted-{number}.pth", data, refused))
    dice = random.Random(7)
    for number in range(mutated):
        data = bytearray(dice.choice(whole))
        for _ in range(dice.choice((1, 1, 2, 8))):
            data[dice.randrange(len(data))] = dice.randrange(256)
        yield Case(f"mutated {number}", _loading(folder / "mutated.pth", bytes(data), either))


def _loading(path: Path, data: bytes, judged: Callable[..., Callable[[], None]]) -> Callable[[], None]:
    def run() -> None:
        path.write_bytes(data)
        own = {key: value.clone() for key, value in network().state_dict().items()}
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            judged(lambda: load_checkpoint(path, network()), CheckpointError)()
        finally:
            os.chdir(here)
            path.unlink()
        assert not (path.parent / "executed").exists() and not (path.parent.parent / "executed").exists()
        if judged is refused:
            assert all(torch.equal(value, own[key]) for key, value in network().state_dict().items())

    return run
