"""From TorchScript to bmodels by tpu-nntc: fp32 by one command, int8 by calibrating images and compiling.

There is no interpreter here that runs what it makes, so that no accuracy is measured (decision 21).
"""

from __future__ import annotations

import itertools
import re

import cv2
import numpy as np
from numpy.typing import NDArray

from artifacts.bmodel import content_digest, normalised
from artifacts.files import storage_errors
from artifacts.release import PreprocessSpec, Variant
from artifacts.store import Blob
from inference.images import read_image
from inference.preprocess import preprocess
from settings.sections import Driving
from tasks.compiled import judged
from tasks.errors import CalibrationRefused, CommandTimedOut
from tasks.records import CalibrationSet, Compiled, Quantized, Record, Traced
from tasks.step import step
from tasks.toolchain.drive import Ran, driven
from tasks.toolchain.model import Toolchain
from tasks.toolchain.nntc import command
from tasks.workspace import Workspace

# As the vendor's programs find it in their own int8 models: each end is a float, or an integer and its scale.
_ENDS = tuple(itertools.product(("float32", "int8", "uint8"), ("float32", "int8")))

# In Caffe's prototxt, which the tool writes: the first field of a layer, as protobuf prints fields by their numbers.
_LAYER = re.compile(r'\blayer\s*\{\s*name\s*:\s*"([^"]*)"')


class Int8Network(Record):
    """The network in int8, for one chip.

    Attributes:
        prototxt: Its layers; what the compiler calls them is in it.
        umodel: Its weights.
        compiled: The bmodel at batch 1, which the same command makes.
    """

    prototxt: Blob
    umodel: Blob
    compiled: Compiled


@step(version=1, slot="bmnetp {variant.path}", retries=1, retry_on=(CommandTimedOut,))
def compile_fp32(
    variant: Variant, traced: Traced, toolchain: Toolchain, driving: Driving, workspace: Workspace
) -> Compiled:
    """Compile one bmodel in fp32.

    Args:
        variant: What to compile.
        traced: The module.
        toolchain: tpu-nntc.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.

    Returns:
        The bmodel.

    Raises:
        CommandError: The compiler failed, or left nothing.
        ResultRefused: The bmodel is not what was asked for.
        BmodelError: It is damaged.
    """
    planned = command.fp32(variant, _size(traced), timeout_s=driving.timeouts.deploy)
    inputs: dict[str, Blob | bytes] = {command.MODULE: traced.module}
    with driven(planned, toolchain, workspace, inputs, omp_threads=driving.omp_threads) as ran:
        return _read(command.COMPILED, variant, traced, None, workspace, ran)


@step(version=1, slot="cali_model {chip}", retries=1, retry_on=(CommandTimedOut,))
def quantize_network(
    chip: str,
    traced: Traced,
    images: CalibrationSet,
    spec: PreprocessSpec,
    layers: tuple[str, ...],
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
) -> Int8Network:
    """Quantize the network for a chip, and compile it at batch 1.

    Args:
        chip: The chip.
        traced: The module.
        images: The curated set.
        spec: How an image becomes the input tensor.
        layers: The compiler's names of the layers that stay in fp32.
        toolchain: tpu-nntc.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.

    Returns:
        The network in int8.

    Raises:
        CalibrationRefused: An image cannot be stored for it.
        CommandError: The compiler failed, or left nothing.
        ResultRefused: The bmodel is not what was asked for.
        BmodelError: It is damaged.
    """
    content = workspace.content
    variant = Variant.model_validate({"chip": chip, "precision": "int8", "batch": 1})
    planned = command.calibrate(chip, len(images.images), spec, layers, timeout_s=driving.timeouts.calibrate)
    inputs: dict[str, Blob | bytes] = {command.MODULE: traced.module}
    for index, image in enumerate(images.images):
        # Numbered, in case the tool reads them in order of their names: a calibrator's histograms depend on it.
        pixels = read_image(content.verified(image.blob))
        inputs[f"{command.IMAGES}/{index:05d}.png"] = letterboxed(pixels, spec, image.name)
    with driven(planned, toolchain, workspace, inputs, omp_threads=driving.omp_threads) as ran:
        umodel = content.put_file(ran.folder / command.UMODEL)
        quantized = Quantized(method="cali_model", table=umodel.digest, float_layers=layers)
        return Int8Network(
            prototxt=content.put_file(ran.folder / command.PROTOTXT),
            umodel=umodel,
            compiled=_read(command.CALIBRATED, variant, traced, quantized, workspace, ran),
        )


@step(version=1, slot="bmnetu {variant.path}", retries=1, retry_on=(CommandTimedOut,))
def compile_int8(
    variant: Variant,
    traced: Traced,
    network: Int8Network,
    toolchain: Toolchain,
    driving: Driving,
    workspace: Workspace,
) -> Compiled:
    """Compile the quantized network at another batch size.

    Args:
        variant: What to compile.
        traced: The module, for the shapes.
        network: The network in int8 for the variant's chip.
        toolchain: tpu-nntc.
        driving: Threads and time-outs.
        workspace: Where bytes are kept.

    Returns:
        The bmodel.

    Raises:
        CommandError: The compiler failed, or left nothing.
        ResultRefused: The bmodel is not what was asked for.
        BmodelError: It is damaged.
    """
    planned = command.int8(variant, _size(traced), timeout_s=driving.timeouts.deploy)
    inputs: dict[str, Blob | bytes] = {command.PROTOTXT: network.prototxt, command.UMODEL: network.umodel}
    with driven(planned, toolchain, workspace, inputs, omp_threads=driving.omp_threads) as ran:
        return _read(command.COMPILED, variant, traced, network.compiled.quantized, workspace, ran)


def letterboxed(image: NDArray[np.uint8], spec: PreprocessSpec, name: str) -> bytes:
    """Place an image as the device does, before its pixels are normalised.

    Args:
        image: uint8 [H, W, 3], BGR.
        spec: How an image becomes the input tensor.
        name: Of the image, for messages.

    Returns:
        A PNG of the input's size: reading it and normalising its pixels gives the very tensor that `preprocess` gives.

    Raises:
        CalibrationRefused: It cannot be written.
    """
    planes = preprocess(image, spec.model_copy(update={"fused": True}))
    done, data = cv2.imencode(".png", np.ascontiguousarray(planes.transpose(1, 2, 0)))
    if not done:
        raise CalibrationRefused(f"{name} cannot be stored as a PNG for the calibration.")
    return data.tobytes()


def remarks(compiled: Compiled, prototxt: bytes = b"") -> tuple[str, ...]:
    """Say what is known to go wrong in such a bmodel, as far as the file itself and its network show it.

    Args:
        compiled: The bmodel.
        prototxt: In int8, the network that it was made of.

    Returns:
        Sentences.
    """
    if compiled.quantized is None:
        return ()
    found = []
    names = set(_LAYER.findall(prototxt.decode(errors="replace")))
    unknown = [layer for layer in compiled.quantized.float_layers if layer not in names]
    if unknown:
        # The tool says nothing of names that it does not know, as far as is known.
        found.append(
            f"no layer of its network is called {', '.join(unknown)}, so none stays in fp32 by that name: the names "
            f"are those in int8/{compiled.variant.chip}.prototxt"
        )
    if len(unknown) == len(compiled.quantized.float_layers):
        found.append(
            "no layer stays in fp32: where one int8 scale serves heatmap, size and offset, the small ones die; name "
            "the last convolution of each head in toolchain.nntc.fp32_layers"
        )
    if compiled.outputs[0].dtype != "float32":
        found.append(f"its output is {compiled.outputs[0].dtype}, so that all heads share one scale")
    return tuple(found)


def _size(traced: Traced) -> tuple[int, int]:
    return traced.input_shape[2], traced.input_shape[3]


def _read(
    name: str, variant: Variant, traced: Traced, quantized: Quantized | None, workspace: Workspace, ran: Ran
) -> Compiled:
    path = ran.folder / "normalised.bmodel"
    with storage_errors(ran.folder):
        path.write_bytes(normalised((ran.folder / name).read_bytes()))
    types = (("float32", "float32"),) if quantized is None else _ENDS
    shapes = (variant.batch, *traced.input_shape[1:]), ((variant.batch, *traced.output_shape[1:]),)
    inputs, outputs, memory = judged(path, variant, *shapes, types)
    return Compiled(
        variant=variant,
        bmodel=workspace.content.put_file(path),
        content_digest=content_digest(path),
        inputs=inputs,
        outputs=outputs,
        device_memory=memory,
        estimated_ms=None,  # what it writes about time is in no manual that was found
        quantized=quantized,
        evidence=ran.evidence,
    )
