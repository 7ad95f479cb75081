"""Make bmodels by tpu-nntc, unpublished: python -m flows.build_nntc [--profile NAME|PATH.toml] [--set key=value ...]"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports: they take seconds, which a mistake in the settings should not wait for.
    from artifacts.standard_output import ended
    from flows.nntc_command import run_build_nntc

    sys.exit(ended(run_build_nntc, sys.argv[1:]))

from pathlib import Path

from prefect import flow

from artifacts.release import PreprocessSpec, Variant
from flows.nntc_evidence import Made, keep
from flows.nntc_folder import check_folder
from flows.preflight import prepare
from flows.run_log import join_page
from settings.model import Settings
from tasks.calibration_checks import check_set
from tasks.calibration_set import curate_images
from tasks.discretion import discreet
from tasks.gather import download_weights, gather
from tasks.nntc import Int8Network, compile_fp32, compile_int8, quantize_network
from tasks.provide import provide_nntc
from tasks.records import CalibrationSet, Compiled, Traced
from tasks.toolchain.model import Toolchain
from tasks.trace import trace
from tasks.workspace import Workspace


@flow(name="build-nntc", validate_parameters=True)
def build_nntc(settings: Settings) -> Path:
    """Compile and quantize with tpu-nntc, and keep what comes of it with its evidence.

    One command of the compiler after the other: the vendor asks for 12 GB of memory for one.

    Args:
        settings: Everything that the build is told.

    Returns:
        The folder that holds the bmodels. They are no release: no accuracy was measured.

    Raises:
        WrongToolchain: The settings name another compiler.
        FolderNotOurs: Where the bmodels go, something else is.
        TaskError: A step failed.
    """
    with discreet():
        join_page()
        workspace = prepare(settings, toolchain="tpu-nntc")
        check_folder(settings, workspace)
        return keep(_made(settings, workspace), settings)


def _made(settings: Settings, workspace: Workspace) -> Made:
    spec = settings.preprocess.spec()
    # First of all: whether it is there is known in seconds, and nothing can bring it.
    compiler = provide_nntc(settings.toolchain, workspace)
    checkpoint = download_weights(settings.weights, workspace)
    traced = trace(checkpoint, settings.network, spec, workspace)
    variants = settings.variants()
    images = None
    if any(variant.precision == "int8" for variant in variants):
        images = _calibration(settings, workspace)
    compiled, networks = _compiled(variants, traced, images, spec, compiler, settings, workspace)
    return Made(checkpoint, traced, images, spec, compiler, compiled, networks, workspace)


def _calibration(settings: Settings, workspace: Workspace) -> CalibrationSet:
    wanted, evaluation = settings.calibration, settings.evaluation
    # Accuracy is not measured here; but what it will be measured on must not be calibrated on.
    held_out = gather(evaluation.source, "evaluation", evaluation.limit, 0, workspace)
    candidates = gather(wanted.source, "calibration", None, wanted.seed, workspace)
    chosen = curate_images(candidates, held_out, wanted.curation, workspace)
    check_set(chosen, candidates, held_out, wanted.count, wanted.missing_classes, workspace)
    return chosen


def _compiled(
    variants: tuple[Variant, ...],
    traced: Traced,
    images: CalibrationSet | None,
    spec: PreprocessSpec,
    compiler: Toolchain,
    settings: Settings,
    workspace: Workspace,
) -> tuple[tuple[Compiled, ...], dict[str, Int8Network]]:
    driving, layers = settings.toolchain.driving, settings.toolchain.nntc.fp32_layers
    compiled: list[Compiled] = []
    networks: dict[str, Int8Network] = {}
    for variant in variants:
        if variant.precision == "fp32":
            compiled.append(compile_fp32(variant, traced, compiler, driving, workspace))
            continue
        if variant.chip not in networks:
            networks[variant.chip] = quantize_network(
                variant.chip, traced, images, spec, layers, compiler, driving, workspace
            )
        network = networks[variant.chip]
        if variant.batch == 1:
            compiled.append(network.compiled)
        else:
            compiled.append(compile_int8(variant, traced, network, compiler, driving, workspace))
    return tuple(compiled), networks
