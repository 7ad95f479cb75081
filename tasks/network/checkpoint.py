"""Reading a checkpoint into a network, without trusting it.

A checkpoint is a pickle; it is read by torch's restricted unpickler, which knows tensors and containers and nothing
that could run. Everything is checked before the first weight is copied, so a refused file leaves the network as it was.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from tasks.errors import CheckpointError

# Ten times the published checkpoint, optimiser state included (221 889 662 bytes).
MAX_BYTES = 2 * 1024**3

# Training bookkeeping that inference never reads; files older than torch 0.4.1 do not have it.
OPTIONAL_SUFFIX = ".num_batches_tracked"
PARALLEL_PREFIX = "module."

ZIP_MAGIC = b"PK\x03\x04"


class CheckpointInfo(BaseModel):
    """What a loaded checkpoint says about itself.

    Attributes:
        epoch: epochs trained; None where the file does not say.
        parameters: learnable numbers in the network.
    """

    model_config = ConfigDict(frozen=True)

    epoch: int | None
    parameters: int


def load_checkpoint(path: Path | str, network: nn.Module) -> CheckpointInfo:
    """Reads weights into a network.

    Args:
        path: file of `torch.save`, zip or older layout, holding `{"epoch": int, "state_dict": {...}}` or the bare
            state_dict; keys with or without the `module.` of data-parallel training; any float type, widened or
            narrowed to the network's own.
        network: takes the weights; unchanged when an error is raised.

    Returns:
        The epoch and the number of parameters.

    Raises:
        CheckpointError: the file cannot be read, would run code, is larger than 2 GiB unpacked, holds something other
            than a state_dict, does not fit the network, or has weights that are not finite. All misfits are named
            together.
    """
    path = Path(path)
    epoch, state = _layout(path, _read(path))
    own = network.state_dict()
    _check_fit(path, state, own)
    converted = {key: state[key].to(own[key].dtype) for key in own if key in state}
    broken = [key for key, value in converted.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise CheckpointError(
            path,
            "has weights that are infinite or not numbers",
            "The training diverged, or the file was damaged. Take an earlier checkpoint of the same training.",
            problems={"not finite": broken},
        )
    network.load_state_dict(converted, strict=False)
    return CheckpointInfo(epoch=epoch, parameters=sum(parameter.numel() for parameter in network.parameters()))


def _read(path: Path) -> object:
    _check_size(path)
    try:
        _check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|class|function|global) `?([A-Za-z_][\w.]*\.\w+)", str(error))
        if named is None:
            raise _damaged(path) from error
        raise CheckpointError(
            path,
            f"asks for {named.group(1)} when it is read, which could run code; it was not read further",
            "A checkpoint needs tensors, numbers and containers only. Do not load it elsewhere to find out: take the "
            'file from its publisher again, or have it saved anew as {"epoch": ..., "state_dict": ...}.',
        ) from error
    # The readers raise whatever their parser stumbles over, MemoryError for a size that is a lie among it; the file is
    # at fault in every case.
    except Exception as error:
        raise _damaged(path) from error


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise CheckpointError(path, "is no regular file", "Name the file itself: a pipe or a device has no end.")
        zipped = _is_zip(path)
    except OSError as error:
        raise CheckpointError(
            path, f"cannot be read ({error.strerror or error})", "Check the path and the rights of the file."
        ) from error
    if size == 0:
        raise CheckpointError(path, "is empty", "A download or copy stopped before it began. Fetch the file again.")
    unpacked = size
    if zipped:
        try:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
        except Exception as error:  # as for what torch reads
            raise _damaged(path) from error
    if max(size, unpacked) > MAX_BYTES:
        raise CheckpointError(
            path,
            f"holds {max(size, unpacked):,} bytes unpacked, more than the limit of {MAX_BYTES:,}",
            "That is no CenterNet checkpoint, or one made to exhaust the memory. Fetch it from its publisher again.",
        )


def _is_zip(path: Path) -> bool:
    """As torch tells the two layouts apart: by the first four bytes."""
    with path.open("rb") as file:
        return file.read(len(ZIP_MAGIC)) == ZIP_MAGIC


def _check_sums(path: Path) -> None:
    """torch reads a zip without looking at its check sums, and would take a flipped bit for a weight."""
    if not _is_zip(path):
        return
    with zipfile.ZipFile(path) as archive:
        member = archive.testzip()
    if member is not None:
        raise ValueError(f"{member} does not match its check sum")


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        path,
        "is not a whole checkpoint",
        "It is cut short, damaged, or another kind of file (a web page saved in its place?). Compare its size and "
        "digest with the publisher's and fetch it again.",
    )


def _layout(path: Path, content: object) -> tuple[int | None, dict[str, Tensor]]:
    """The epoch and the state_dict of whatever was stored."""
    wrapped = isinstance(content, Mapping) and "state_dict" in content
    epoch = content.get("epoch") if wrapped and isinstance(content, Mapping) else None
    state = content["state_dict"] if wrapped and isinstance(content, Mapping) else content
    if not isinstance(state, Mapping) or not state:
        raise _no_state_dict(path, f"holds a {type(content).__name__}")
    strange = [key for key, value in state.items() if not (isinstance(key, str) and _is_plain(value))]
    if strange:
        raise _no_state_dict(path, f"holds something other than plain tensors, first {str(strange[0])[:80]!r}")
    parallel = all(key.startswith(PARALLEL_PREFIX) for key in state)
    tensors = {key.removeprefix(PARALLEL_PREFIX) if parallel else key: value for key, value in state.items()}
    return (epoch if isinstance(epoch, int) else None), tensors


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_complex() or value.is_nested)
    )


def _no_state_dict(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        path,
        f"{what} where a state_dict is expected",
        'A checkpoint is {"epoch": ..., "state_dict": {name: tensor}} or the bare state_dict. A whole model, a '
        "TorchScript file or an optimiser's state does not do: save the network's state_dict().",
    )


def _check_fit(path: Path, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    missing = [key for key in own if key not in state and not key.endswith(OPTIONAL_SUFFIX)]
    extra = [key for key in state if key not in own]
    shared = [key for key in own if key in state]
    misshapen = [
        f"{key} {list(state[key].shape)} instead of {list(own[key].shape)}"
        for key in shared
        if state[key].shape != own[key].shape
    ]
    mistyped = [
        f"{key} {state[key].dtype} instead of {own[key].dtype}"
        for key in shared
        if state[key].is_floating_point() != own[key].is_floating_point()
    ]
    problems = {"missing": missing, "unknown": extra, "of another shape": misshapen, "of another type": mistyped}
    if any(problems.values()):
        raise CheckpointError(path, "does not fit the network", _hint(state, own, missing, extra), problems=problems)


def _hint(state: Mapping[str, Tensor], own: Mapping[str, Tensor], missing: list[str], extra: list[str]) -> str:
    """The most likely confusion behind a misfit, and what to do about it."""
    stem, last = "base.base_layer.0.weight", "hm.2.weight"
    other = _other_architecture(stem in state, missing, extra, len(own))
    if other is not None:
        return other
    if not {stem, last} <= state.keys() & own.keys() or not (state[stem].dim() and state[last].dim()):
        return "It is damaged, or of another version of the network: take another checkpoint."
    if state[stem].shape[0] != own[stem].shape[0]:
        factor = state[stem].shape[0] / own[stem].shape[0]
        return f"It is the same network at {factor:g} times the width: correct the width, or take another checkpoint."
    if state[last].shape[0] != own[last].shape[0]:
        return f"It was trained for {state[last].shape[0]} classes: correct the number of classes."
    return "It is damaged, or of another version of the network: take another checkpoint."


def _other_architecture(has_stem: bool, missing: list[str], extra: list[str], keys: int) -> str | None:
    if any("conv_offset_mask" in key for key in extra):
        return "It has deformable convolutions: set network.name to dla_34, or take the checkpoint of dlav0_34."
    if has_stem and any("conv_offset_mask" in key for key in missing):
        return "It has no deformable convolutions: set network.name to dlav0_34, or take the checkpoint of dla_34."
    if missing and len(missing) + len(extra) > keys // 2:
        return "It belongs to another architecture: correct the network's name, or take another checkpoint."
    return None
