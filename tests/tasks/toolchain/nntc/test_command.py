"""What tpu-nntc is told. The stand-in's program, which checks every argument, is in `fake_tool.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.release import PreprocessSpec, Variant
from tasks.toolchain.nntc import command, launcher

SPEC, SIZE = PreprocessSpec(), (512, 512)


def variant(**fields: object) -> Variant:
    return Variant.model_validate({"chip": "BM1684", "precision": "int8", "batch": 1, **fields})


def test_fp32_is_what_the_vendors_script_for_this_network_says() -> None:
    planned = command.fp32(variant(precision="fp32"), SIZE, timeout_s=60)
    assert planned.argv == (
        *("python3", "-m", "bmnetp", "--net_name=centernet", "--target=BM1684", "--opt=2", "--cmp=true"),
        *("--shapes=[1,3,512,512]", "--model=centernet.pt", "--outdir=compilation", "--dyn=false"),
    )
    assert [one.pattern for one in planned.expects] == ["compilation/compilation.bmodel"]


def test_int8_is_what_the_vendors_script_for_this_network_says_but_for_exact_means_and_scales() -> None:
    planned = command.calibrate("BM1684X", 200, SPEC, ("30", "33", "36"), timeout_s=60)
    preprocess = next(one for one in planned.arguments if one.startswith("--cali_image_preprocess="))
    assert [one for one in planned.argv if one != preprocess] == [
        *("python3", "-m", "ufw.cali.cali_model", "--net_name=centernet", "--model=./centernet.pt"),
        *("--cali_image_path=./images", "--cali_iterations=200", "--input_shapes=[1,3,512,512]"),
        *("--fp32_layer_list=30,33,36", "--target=BM1684X"),
    ]
    assert [one.pattern for one in planned.expects] == [
        "centernet_batch1/compilation.bmodel",
        "centernet_bmnetp_deploy_int8_unique_top.prototxt",
        "centernet_bmnetp.int8umodel",
    ]


def test_without_layers_in_float_no_empty_list_is_given() -> None:
    planned = command.calibrate("BM1684", 1, SPEC, (), timeout_s=60)
    assert not any("fp32_layer_list" in one for one in planned.arguments)


def test_a_further_batch_size_is_compiled_from_the_int8_network() -> None:
    planned = command.int8(variant(batch=4), SIZE, timeout_s=60)
    assert planned.argv == (
        *("bmnetu", "--model=centernet_bmnetp_deploy_int8_unique_top.prototxt", "--weight=centernet_bmnetp.int8umodel"),
        *("-net_name=centernet", "--shapes=[4,3,512,512]", "-target=BM1684", "-opt=1", "-outdir=compilation"),
    )


def test_height_comes_before_width() -> None:
    assert "--shapes=[1,3,64,128]" in command.fp32(variant(precision="fp32"), (64, 128), timeout_s=60).arguments
    planned = command.calibrate("BM1684", 1, PreprocessSpec(height=64, width=128), (), timeout_s=60)
    assert "--input_shapes=[1,3,64,128]" in planned.arguments
    assert any("resize_h=64,resize_w=128;" in one for one in planned.arguments)


def test_the_preprocess_text_is_near_the_vendors_own_for_this_network() -> None:
    size, normalising = command.image_preprocess(SPEC).split(";")
    assert size == "resize_h=512,resize_w=512"
    means, scales, order = normalising.split(",")
    ours = [float(one) for one in means.removeprefix("mean_value=").split(":")]
    assert ours == pytest.approx([104.01195, 114.03422, 119.91659], abs=0.1)
    assert [float(one) for one in scales.removeprefix("scale=").split(":")] == pytest.approx([0.014] * 3, abs=5e-4)
    assert order == "bgr2rgb=False"


@pytest.mark.parametrize(("field", "value"), [("channel_order", "RGB"), ("fused", True)])
def test_a_spec_that_its_text_cannot_say_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="normalised BGR"):
        command.image_preprocess(SPEC.model_copy(update={field: value}))


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"chip": "BM1688"}, "BM1684 and BM1684X only"),
        ({"chip": "BM1684X", "precision": "fp16"}, "no fp16"),
        ({"chip": "BM1684X", "io": "raw"}, "raw pixels"),
        ({"precision": "fp32"}, "this command is for int8"),
    ],
)
def test_a_variant_that_it_does_not_make_is_refused(wanted: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        command.int8(variant(**wanted), SIZE, timeout_s=60)


def test_a_calibration_without_images_or_for_another_chip_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        command.calibrate("BM1684", 0, SPEC, (), timeout_s=60)
    with pytest.raises(ValueError, match="BM1684X only"):
        command.calibrate("BM1688", 1, SPEC, (), timeout_s=60)


def test_a_container_that_nobody_is_left_to_end_ends_by_itself() -> None:
    planned = command.int8(variant(), SIZE, timeout_s=3600.0)
    assert planned.variables == ((command.LIMIT, "3600"),)
    text = launcher.in_image("bmnetu", "/usr/bin/docker", "sha256:1", Path("/opt/tpu nntc"))
    assert f'timeout --kill-after=10 "${{{command.LIMIT}:-' in text and "'/opt/tpu nntc:/tpu-nntc:ro'" in text
