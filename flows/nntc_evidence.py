"""What a build by tpu-nntc leaves: bmodels, how they came about, and that nobody measured them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from artifacts.files import atomic_write
from artifacts.release import PreprocessSpec
from artifacts.store import Blob
from flows.nntc_folder import EVIDENCE, replaced
from settings.model import Settings
from tasks.nntc import Int8Network, remarks
from tasks.records import CalibrationSet, Checkpoint, Compiled, Traced
from tasks.toolchain.model import Toolchain
from tasks.toolchain.nntc.command import image_preprocess
from tasks.workspace import Workspace

NOT_PUBLISHED = (
    "Nothing was published: the accuracy of these bmodels was not measured. The interpreter that measures models of "
    "tpu-mlir without a chip runs none of tpu-nntc, and the gate lets pass only what was measured. Measure them on a "
    "chip before they are used: the vendor's CenterNet programs take them by these names."
)


class Made(NamedTuple):
    """What was made, of what, and with what.

    Attributes:
        checkpoint: The weights.
        traced: The module.
        images: The curated set; None without int8.
        spec: How an image becomes the input tensor.
        compiler: The toolchain.
        compiled: The bmodels.
        networks: The int8 networks, by chip.
        workspace: Where bytes are kept.
    """

    checkpoint: Checkpoint
    traced: Traced
    images: CalibrationSet | None
    spec: PreprocessSpec
    compiler: Toolchain
    compiled: tuple[Compiled, ...]
    networks: Mapping[str, Int8Network]
    workspace: Workspace


def keep(made: Made, settings: Settings) -> Path:
    """Lay out the bmodels, the logs, the int8 networks and the evidence, in place of an earlier build's.

    The earlier one stays until all of this is there and was verified.

    Args:
        made: What was made.
        settings: Where it goes.

    Returns:
        The folder.

    Raises:
        FolderNotOurs: What is there is not an earlier build's.
        StoreNotWritable: It cannot be written.
        NoSpace: The disk is full.
        MissingBlob: Something is not in the store any more.
        DamagedBlob: Stored bytes are others.
    """

    def write(folder: Path) -> None:
        for name, blob in _files(made).items():
            atomic_write(folder / name, made.workspace.content.verified(blob).read_bytes())
        atomic_write(folder / EVIDENCE, (json.dumps(evidence(made), indent=1) + "\n").encode())

    return replaced(settings, made.workspace, write)


def evidence(made: Made) -> dict[str, Any]:
    """Write down how the bmodels came about.

    Args:
        made: What was made.

    Returns:
        Facts fit for JSON. `accuracy` is null, and `published` false.
    """
    int8 = made.images is not None
    return {
        "published": False,
        "accuracy": None,
        "why": NOT_PUBLISHED,
        "toolchain": made.compiler.model_dump(include={"name", "version", "fingerprint"}),
        "weights": made.checkpoint.blob.digest,
        "module": made.traced.module.digest,
        "preprocess": made.spec.model_dump(mode="json"),
        "calibration": made.images.manifest.digest if made.images is not None else None,
        "cali_image_preprocess": image_preprocess(made.spec) if int8 else None,
        "calibrations": [_calibration(chip, network) for chip, network in made.networks.items()],
        "models": [_model(compiled, made) for compiled in made.compiled],
    }


def _calibration(chip: str, network: Int8Network) -> dict[str, Any]:
    """How a chip's int8 network came about, which no model says where none is of batch 1."""
    quantized, ran = network.compiled.quantized, network.compiled.evidence
    return {
        "chip": chip,
        "prototxt": network.prototxt.digest,
        "int8umodel": network.umodel.digest,
        "quantized": quantized.model_dump(mode="json") if quantized else None,
        "command": list(ran.argv),
        "seconds": round(ran.seconds, 1),
        "log": _calibration_log(chip),
    }


def _calibration_log(chip: str) -> str:
    return f"logs/{chip}-cali_model.log"


def _model(compiled: Compiled, made: Made) -> dict[str, Any]:
    network = made.networks.get(compiled.variant.chip)
    prototxt = b"" if network is None else made.workspace.content.verified(network.prototxt).read_bytes()
    return {
        "file": compiled.variant.path,
        "digest": compiled.bmodel.digest,
        "content_digest": compiled.content_digest,
        "inputs": [tensor.model_dump(mode="json") for tensor in compiled.inputs],
        "outputs": [tensor.model_dump(mode="json") for tensor in compiled.outputs],
        "device_memory": compiled.device_memory,
        "quantized": compiled.quantized.model_dump(mode="json") if compiled.quantized else None,
        "command": list(compiled.evidence.argv),
        "seconds": round(compiled.evidence.seconds, 1),
        "log": _log(compiled),
        "remarks": list(remarks(compiled, prototxt)),
    }


def _log(compiled: Compiled) -> str:
    return f"logs/{compiled.variant.chip}-{compiled.variant.stem}.log"


def _files(made: Made) -> dict[str, Blob]:
    files = {compiled.variant.path: compiled.bmodel for compiled in made.compiled}
    files.update({_log(compiled): compiled.evidence.log for compiled in made.compiled})
    for chip, network in made.networks.items():
        files[f"int8/{chip}.prototxt"] = network.prototxt
        files[f"int8/{chip}.int8umodel"] = network.umodel
        files[_calibration_log(chip)] = network.compiled.evidence.log
    if made.images is not None:
        files["calibration.json"] = made.images.manifest
        files["calibration.jpg"] = made.images.contact_sheet
    return files
