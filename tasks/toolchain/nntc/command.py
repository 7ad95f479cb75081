"""The commands of tpu-nntc as values. Pure: nothing is run here.

What is planned follows the vendor's own scripts for this very network, `gen_fp32bmodel_nntc.sh` and
`gen_int8bmodel_nntc.sh` in `sample/CenterNet/scripts` of sophgo/sophon-demo (from commit 749385162f to e09314ccf1), and
where those leave something out its other samples of that time: `--outdir` of LPRNet and C3D, `--cali_iterations` of
YOLOv8_det. The options of bmnetp are in the vendor's manual ("BMNETP"). None of it was run against the real tool.
"""

from __future__ import annotations

from artifacts.release import PreprocessSpec
from artifacts.variant import Variant
from settings.nntc import not_made
from tasks.toolchain.command import Command, Expected

NET_NAME = "centernet"
MODULE = "centernet.pt"
IMAGES = "images"
PROTOTXT = f"{NET_NAME}_bmnetp_deploy_int8_unique_top.prototxt"
UMODEL = f"{NET_NAME}_bmnetp.int8umodel"
COMPILED = "compilation/compilation.bmodel"
CALIBRATED = f"{NET_NAME}_batch1/compilation.bmodel"
LIMIT = "NNTC_LIMIT_S"
"""Variable by which a container knows how long it may live, should nobody be left to end it."""


def fp32(variant: Variant, size: tuple[int, int], *, timeout_s: float) -> Command:
    """Plan the compile of a bmodel in fp32 from TorchScript.

    `--cmp=true` has the tool compare its result with the CPU's, in the simulator that it brings.

    Args:
        variant: What to compile, in fp32.
        size: Height and width of the input, pixels.
        timeout_s: Longest time, in seconds.

    Returns:
        The command. It reads `centernet.pt` and leaves `compilation/compilation.bmodel`.

    Raises:
        ValueError: The variant is none that tpu-nntc makes in fp32.
    """
    _check(variant, "fp32")
    return Command(
        name=f"bmnetp {variant.path}",
        tool="python3",
        arguments=(
            *("-m", "bmnetp"),
            f"--net_name={NET_NAME}",
            f"--target={variant.chip}",
            "--opt=2",
            "--cmp=true",
            f"--shapes={_shape(variant.batch, size)}",
            f"--model={MODULE}",
            "--outdir=compilation",
            "--dyn=false",
        ),
        expects=(Expected(pattern=COMPILED),),
        timeout_s=timeout_s,
        variables=_limit(timeout_s),
    )


def calibrate(chip: str, images: int, spec: PreprocessSpec, layers: tuple[str, ...], *, timeout_s: float) -> Command:
    """Plan quantizing to int8 and the compile at batch 1, which one command does.

    Args:
        chip: BM1684 or BM1684X; what comes of it serves this chip alone.
        images: How many images lie in `images/`; the tool is told to use that many.
        spec: How an image becomes the input tensor; the images are letterboxed already.
        layers: The tool's names of the layers that stay in fp32.
        timeout_s: Longest time, in seconds.

    Returns:
        The command. It reads `centernet.pt` and `images/`; beside the module it leaves the int8 network (prototxt and
        int8umodel), and a bmodel at batch 1 in a folder of its own.

    Raises:
        ValueError: The chip is none of its chips, there are no images, or the spec has no form in its options.
    """
    _check(Variant.model_validate({"chip": chip, "precision": "int8", "batch": 1}), "int8")
    if images < 1:
        raise ValueError(f"a calibration needs at least one image, got {images}")
    return Command(
        name=f"cali_model {chip} {images}",
        tool="python3",
        arguments=(
            *("-m", "ufw.cali.cali_model"),
            f"--net_name={NET_NAME}",
            # Beside the module the tool leaves what it makes; without a folder before the name it might find none.
            f"--model=./{MODULE}",
            f"--cali_image_path=./{IMAGES}",
            f"--cali_image_preprocess={image_preprocess(spec)}",
            f"--cali_iterations={images}",
            f"--input_shapes={_shape(1, (spec.height, spec.width))}",
            *((f"--fp32_layer_list={','.join(layers)}",) if layers else ()),
            f"--target={chip}",
        ),
        expects=(Expected(pattern=CALIBRATED), Expected(pattern=PROTOTXT), Expected(pattern=UMODEL)),
        timeout_s=timeout_s,
        variables=_limit(timeout_s),
    )


def int8(variant: Variant, size: tuple[int, int], *, timeout_s: float) -> Command:
    """Plan the compile of the int8 network at another batch size.

    Args:
        variant: What to compile, in int8, for the chip that the network was quantized for.
        size: Height and width of the input, pixels.
        timeout_s: Longest time, in seconds.

    Returns:
        The command. It reads what `calibrate` left and leaves `compilation/compilation.bmodel`.

    Raises:
        ValueError: The variant is none that tpu-nntc makes in int8.
    """
    _check(variant, "int8")
    return Command(
        name=f"bmnetu {variant.path}",
        tool="bmnetu",
        arguments=(
            f"--model={PROTOTXT}",
            f"--weight={UMODEL}",
            f"-net_name={NET_NAME}",
            f"--shapes={_shape(variant.batch, size)}",
            f"-target={variant.chip}",
            "-opt=1",
            "-outdir=compilation",
        ),
        expects=(Expected(pattern=COMPILED),),
        timeout_s=timeout_s,
        variables=_limit(timeout_s),
    )


def image_preprocess(spec: PreprocessSpec) -> str:
    """Say a preprocess spec in the words of `--cali_image_preprocess`.

    The order is that of the data layer of Caffe, which the tool is built on: resize, subtract `mean_value`, multiply by
    `scale`, both for each channel and in pixel values 0..255. The vendor's script for ResNet says ImageNet's numbers so
    (`mean_value=103.53:116.28:123.675,scale=0.01742919:0.017507:0.01712475`), and that for this network is to be read
    so (mean 104 and scale 0.014); that of its sample DeepSORT, with a mean of 2, is not.

    The tool can only stretch. The images are therefore letterboxed before it sees them, with the function that the
    device runs, and stored without loss at the size that it would stretch them to.

    Args:
        spec: How an image becomes the input tensor.

    Returns:
        The text.

    Raises:
        ValueError: The spec wants RGB, for which the vendor's samples give means in both orders, or raw pixels.
    """
    if spec.channel_order != "BGR" or spec.fused:
        raise ValueError("tpu-nntc is told of normalised BGR input only")
    means = ":".join(f"{mean / spec.scale:.9g}" for mean in spec.mean)
    scales = ":".join(f"{spec.scale / std:.9g}" for std in spec.std)
    return f"resize_h={spec.height},resize_w={spec.width};mean_value={means},scale={scales},bgr2rgb=False"


def _check(variant: Variant, precision: str) -> None:
    reason = not_made(variant)
    if reason is None and variant.precision != precision:
        reason = f"this command is for {precision}"
    if reason is not None:
        raise ValueError(f"tpu-nntc cannot make {variant.path}: {reason}")


def _shape(batch: int, size: tuple[int, int]) -> str:
    return f"[{batch},3,{size[0]},{size[1]}]"


def _limit(timeout_s: float) -> tuple[tuple[str, str], ...]:
    return ((LIMIT, f"{timeout_s:.0f}"),)
