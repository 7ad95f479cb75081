"""Stands for the compiler's three commands: the same options, the same files left, and the ways in which they fail.

Installed under each command's name by `fakes.py`; what it does beside its work is told by `behaviour.json` in the
environment's folder, since nothing else of the caller's reaches it. Standard library only.
"""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

ROOT = Path(sys.argv[0]).resolve().parent.parent
TOOL = Path(sys.argv[0]).name
WEIGHTS = "centernet_top_f32_all_weight.npz"


def behaviour() -> dict:
    path = ROOT / "behaviour.json"
    return json.loads(path.read_text()) if path.exists() else {}


def note(name: str, text: str) -> None:
    with (ROOT / name).open("a") as stream:
        stream.write(text + "\n")


def check(condition: object, message: str) -> None:
    if not condition:
        print(f"RuntimeError: {message}")
        sys.exit(1)


def model_transform(put) -> None:
    parser = argparse.ArgumentParser()
    for name in ("--model_name", "--model_def", "--input_shapes", "--mlir"):
        parser.add_argument(name, required=True)
    args = parser.parse_args()
    shape = re.fullmatch(r"\[\[(\d+), (\d+), (\d+), (\d+)\]\]", args.input_shapes)
    check(shape, f"shapes {args.input_shapes}")
    check(Path(args.model_def).read_bytes(), "PytorchStreamReader failed reading zip archive: not a ZIP archive.")
    text = (ROOT / "network.mlir").read_text().replace("tensor<1x", f"tensor<{shape[1]}x")
    put(WEIGHTS, (ROOT / "weights.npz").read_bytes())
    put(args.mlir, text.encode())


def run_calibration(put) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mlir")
    for name in ("--data_list", "--input_num", "--tune_num", "--cali_method", "-o"):
        parser.add_argument(name, required=True)
    args = parser.parse_args()
    samples = Path(args.data_list).read_text().splitlines()
    check(Path(args.mlir).exists() and Path(WEIGHTS).exists(), "no network")
    check(args.tune_num == "0", "the tuning pass is on")
    (ROOT / "samples").mkdir(exist_ok=True)
    for sample in samples[: int(args.input_num)]:
        (ROOT / "samples" / Path(sample).name).write_bytes(Path(sample).read_bytes())
        if Path(sample).name == behaviour().get("spoils_sample"):
            with zipfile.ZipFile(sample) as archive:
                name = archive.namelist()[0]
                data = archive.read(name)
            with zipfile.ZipFile(sample, "w") as archive:
                archive.writestr(name, data[:-1] + bytes([data[-1] ^ 1]))
    rows = "".join(f"{name} 1.5 -1.0 1.5\n" for name in ("x.1", "62", "84", "106", "16"))
    used = behaviour().get("uses", min(int(args.input_num), len(samples)))
    head = f"# mlir version: v1.30.2\n# genetated time: {time.time()}\n# sample number: {used}"
    put(args.o, f"{head}\n###\n# op_name    threshold    min    max\n{rows}".encode())


def model_deploy(put) -> None:
    parser = argparse.ArgumentParser()
    for name in ("--mlir", "--chip", "--quantize", "--model"):
        parser.add_argument(name, required=True)
    parser.add_argument("--num_core", type=int, default=1)
    for name in (
        "--calibration_table",
        "--quantize_table",
        "--lghash_dir",
        "--compress_mode",
        "--customization_format",
    ):
        parser.add_argument(name)
    parser.add_argument("--shape_secs_search_strategy", type=int, choices=(0, 1, 2))
    for name in ("--enable_lghash", "--fuse_preprocess", "--quant_output"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--not_gen_bmodel", action="store_true")
    args = parser.parse_args()
    check(Path(args.mlir).exists() and Path(WEIGHTS).exists(), "readTensor failed")
    if args.quantize == "INT8":
        check(
            args.calibration_table and Path(args.calibration_table).read_bytes(), "can't open calibration table file!"
        )
    if args.fuse_preprocess:
        note("inputs", next(line for line in Path(args.mlir).read_text().splitlines() if "top.Input" in line))
    if args.quantize_table:
        note("quantize_tables", Path(args.quantize_table).read_text())
    name = f"centernet_{args.chip}_{args.quantize.lower()}"
    if args.not_gen_bmodel:
        put(f"{name}_tpu_weights.npz", b"lowered weights")
        put(f"{name}_tpu.mlir", f'module {{module.weight_file = "{name}_tpu_weights.npz"}}'.encode())
        return
    if args.enable_lghash:
        entry = Path(args.lghash_dir) / "5292671582866016704"
        note("layer_groups", entry.read_text() if entry.exists() else "searched")
        entry.write_text("subfunc_idx: 0 0;1,10[1,1,1,1,1];11;")
    for core in range(args.num_core):
        profile = f"_{core}.dat" if args.chip == "bm1684" else f"compiler_profile_{core}.txt"
        put(profile, f"flops: 2020352, runtime: {core + 1}.5ms, AA: 0.2T\n".encode())
    made = ROOT / ("bmodel.filled" if os.environ.get("MALLOC_PERTURB_") else "bmodel")
    put(args.model, made.read_bytes() if made.exists() else b"bmodel")


def put(name: str, data: bytes) -> None:
    mode = behaviour().get("leaves", "all")
    if mode == "nothing":
        return
    Path(name).write_bytes(b"" if mode == "empty" else data)
    if mode == "several" and name.endswith("_tpu.mlir"):
        Path(name.replace("_tpu.mlir", "_sym_tpu.mlir")).write_bytes(data)


def report() -> None:
    """Write down what reached this process from outside."""
    facts = {
        "environment": dict(os.environ),
        "watcher": Path(f"/proc/{os.getppid()}/environ").read_bytes().decode(),
        "session": os.getsid(0),
        "group": os.getpgid(0),
        "pid": os.getpid(),
        "stdin": sys.stdin.read(),
        "core_limit": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "descriptors": sorted(str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()),
    }
    (ROOT / "report.json").write_text(json.dumps(facts))


def start_tree(level: int, **options) -> None:
    """Become a chain of processes, each of which writes down its id, the last in a session of its own."""
    if options.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if level > 0:
        below = [sys.executable, "-IS", sys.argv[0], "--tree", str(level - 1), json.dumps(options)]
        subprocess.Popen(below, start_new_session=level == 1)
    note("pids", str(os.getpid()))


def main() -> int:
    if sys.argv[1:2] == ["--tree"]:
        options = json.loads(sys.argv[3])
        start_tree(int(sys.argv[2]), **options)
        time.sleep(options["seconds"])
        if options.get("writes"):
            Path(options["writes"]).write_bytes(b"too late")
        return 0
    wanted = behaviour()
    if wanted.get("report"):
        report()
    if "tree" in wanted:
        start_tree(wanted["tree"].get("depth", 2), **wanted["tree"])
    for name in wanted.get("scribbles_on", []):
        Path(name).write_bytes(b"scribbled")
    for chunk in range(wanted.get("megabytes", 0)):
        print("x" * 1_000_000, file=sys.stderr if chunk % 2 else sys.stdout, flush=True)
    if wanted.get("hangs"):
        time.sleep(600)
    if "says" in wanted:
        print(wanted["says"], flush=True)
    if wanted.get("leaves_groups"):
        Path("layer-groups", "77").write_text("half an ent")
    if wanted.get("aborts"):
        os.abort()
    if wanted.get("status"):
        return wanted["status"]
    globals()[TOOL](put)
    return 0


sys.exit(main())
