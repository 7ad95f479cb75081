"""Stands for the compiler's commands in tests of whole builds: files that the flow can read, made in an instant.

    python compiler.py TOOL ENVIRONMENT [ARGUMENT ...]

Every call is noted in the environment's `calls`. A file `hold`, `fail`, `leave-nothing`, `spoil` or `wear` there holds
a pattern: a command whose line it is found in waits while `hold` is there, exits with 3, exits with 0 having written
nothing, makes a network with a dead head, or one with a noisy head; `takes` holds the seconds that each call sleeps.
`spoil` and `wear` also see, behind the line, how ranges were derived and which layers are in float, such as
`by kl, in float: hm heads`. Every network gives the same constants everywhere (`pymlir.py`, `pyruntime_bm.py`).
"""

from __future__ import annotations

import json
import os
import re
import struct
import sys
import time
import zipfile
import zlib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
CLASSES = 80
INPUT = (
    'channel_format = "nchw", do_preprocess = true, mean = [0.000000e+00, 0.000000e+00, 0.000000e+00], '
    'pixel_format = "bgr", scale = [1.000000e+00, 1.000000e+00, 1.000000e+00]'
)
FLOAT32, FLOAT16, UINT8 = 0, 1, 3


def main(tool: str, environment: Path, arguments: list[str]) -> int:
    line = " ".join([tool, *arguments])
    with (environment / "calls").open("a") as stream:
        stream.write(f"{line}\n")
    print(f"stand-in: {line}", flush=True)
    hold = environment / "hold"
    if meant(hold, line):
        (environment / "held").write_text(str(os.getpid()))
        while meant(hold, line):
            time.sleep(0.02)
    if (environment / "takes").exists():
        time.sleep(float((environment / "takes").read_text()))
    if meant(environment / "fail", line):
        print("broken on purpose")
        return 3
    if not meant(environment / "leave-nothing", line):
        {"model_transform": transform, "run_calibration": calibrate, "model_deploy": deploy}[tool](arguments)
    for switch, mark in (("spoil", "spoilt"), ("wear", "worn")):
        if meant(environment / switch, line + quantized(arguments)):
            for path in Path().glob("*_tpu.mlir"):
                path.write_text(f"{path.read_text()}// {mark}\n")
    return 0


def meant(switch: Path, line: str) -> bool:
    try:
        return re.search(switch.read_text(), line) is not None
    except FileNotFoundError:
        return False


def quantized(arguments: list[str]) -> str:
    """How a network becomes int8; empty for others."""
    table, layers = option(arguments, "--calibration_table"), option(arguments, "--quantize_table")
    if not table:
        return ""
    method = re.search(r"^# method: (\w+)$", Path(table).read_text(), re.M)
    kept = [line.split()[0] for line in Path(layers).read_text().splitlines()] if layers else []
    return f" by {method[1] if method else '?'}, in float: {' '.join(kept)}"


def option(arguments: list[str], name: str, default: str = "") -> str:
    return arguments[arguments.index(name) + 1] if name in arguments else default


def transform(arguments: list[str]) -> None:
    batch, channels, height, width = json.loads(option(arguments, "--input_shapes"))[0]
    given, made = f"{batch}x{channels}x{height}x{width}xf32", f"x{height // 4}x{width // 4}xf32"
    lines = [
        'module @centernet attributes {module.weight_file = "centernet_top_f32_all_weight.npz"} {',
        f"  func.func @main(%arg0: tensor<{given}> loc(unknown)) -> (tensor<{batch}x{CLASSES + 4}{made}>) {{",
        '    %0 = "top.None"() : () -> none loc(unknown)',
        f'    %1 = "top.Input"(%arg0) {{{INPUT}}} : (tensor<{given}>) -> tensor<{given}> loc("image")',
    ]
    for number, (name, outputs) in enumerate((("hm", CLASSES), ("wh", 2), ("reg", 2)), 2):
        weight = f"tensor<{outputs}x3x1x1xf32>"
        lines.append(f'    %{number + 4} = "top.Weight"() : () -> {weight} loc("{name}.weight")')
        types = f"(tensor<{given}>, {weight}, none) -> tensor<{batch}x{outputs}{made}>"
        lines.append(f'    %{number} = "top.Conv"(%1, %{number + 4}, %0) : {types} loc("{name}")')
    types = f"(none, none, none) -> tensor<{batch}x{CLASSES + 4}{made}>"
    lines += [
        f'    %5 = "top.Concat"(%2, %3, %4) : {types} loc("heads")',
        "    return %5 : none loc(unknown)",
        "  }",
        "}",
    ]
    Path(option(arguments, "--mlir")).write_text("\n".join(lines) + "\n")
    write_weights(Path("centernet_top_f32_all_weight.npz"), [f"{name}.weight" for name in ("hm", "wh", "reg")])


def write_weights(path: Path, names: list[str]) -> None:
    """Write an archive of single ones, float32, as numpy does: it is not at hand here."""
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<f", 1.0)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), array)


def calibrate(arguments: list[str]) -> None:
    samples = Path(option(arguments, "--data_list")).read_text().split()
    seen = zlib.crc32(b"".join(Path(sample).read_bytes() for sample in samples))
    rows = "".join(f"{name} {seen / 2**32} -1.0 1.5\n" for name in ("image", "hm", "wh", "reg", "heads"))
    head = f"# mlir version: v1.30.2\n# genetated time: {time.time()}\n# sample number: {len(samples)}"
    head += f"\n# method: {option(arguments, '--cali_method')}"
    Path(option(arguments, "-o")).write_text(f"{head}\n###\n# op_name    threshold    min    max\n{rows}")


def deploy(arguments: list[str]) -> None:
    text, chip = Path(option(arguments, "--mlir")).read_text(), option(arguments, "--chip")
    stem = f"centernet_{chip}_{option(arguments, '--quantize').lower()}_tpu"
    if "--not_gen_bmodel" in arguments:
        Path(f"{stem}_weights.npz").write_bytes(b"lowered weights")
        lowered = re.sub(r'weight_file = "[^"]*"', f'weight_file = "{stem}_weights.npz"', text)
        Path(f"{stem}.mlir").write_text(lowered)
        return
    cores = int(option(arguments, "--num_core", "1"))
    for core in range(cores):
        Path(f"compiler_profile_{core}.txt").write_text(f"flops: 2020352, runtime: {core + 1}.5ms, AA: 0.2T\n")
    found = re.search(r"%arg0: tensor<(\d+)x3x(\d+)x(\d+)xf32>", text)
    assert found is not None
    batch, height, width = map(int, found.groups())
    shapes = [batch, 3, height, width], [batch, CLASSES + 4, height // 4, width // 4]
    quantize = option(arguments, "--quantize")
    raw = "--fuse_preprocess" in arguments
    assert raw is ("0.000000e+00, 0.000000e+00, 0.000000e+00" not in text)
    Path(option(arguments, "--model")).write_bytes(bmodel(chip.upper(), cores, quantize, raw, *shapes))


def bmodel(chip: str, cores: int, quantize: str, raw: bool, given: list[int], made: list[int]) -> bytes:
    sys.path.insert(0, str(PROJECT))
    from tests.artifacts.bmodel_files import assemble, flatbuffer, model_table, tensor

    weights = json.dumps({"stand-in": [given, made], "quantize": quantize, "raw": raw}).encode()
    table = model_table(weights, chip=chip, cores=cores, time=f"{time.ctime()}\n")
    stage = table[4][0][3][0]
    stage[0] = [tensor("image", given, UINT8 if raw else FLOAT32)]
    stage[1] = [tensor("heads", made, FLOAT16 if raw else FLOAT32)]
    return assemble(flatbuffer(table), weights + bytes(512))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
