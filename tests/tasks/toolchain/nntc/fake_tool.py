"""Stands for docker's client and the vendor's Python and bmnetu: each argument is checked, files are left as theirs.

Installed under each program's name by `fakes.py`; `behaviour.json` in the stand-in's folder tells what else to do.
Standard library only.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

ROOT = Path(sys.argv[0]).resolve().parent.parent
PROGRAM = Path(sys.argv[0]).name
NET = "centernet"
SHAPE = r"\[\d+,3,\d+,\d+\]"
NUMBER = r"[0-9.]+(e-?\d+)?"
TRIPLE = f"{NUMBER}:{NUMBER}:{NUMBER}"

# Every option that a command has here, and the form of its value: one more, one less or another form is refused.
BMNETP = {
    "--net_name": NET,
    "--target": "BM1684|BM1684X",
    "--opt": "2",
    "--cmp": "true",
    "--shapes": SHAPE,
    "--model": r"centernet\.pt",
    "--outdir": "compilation",
    "--dyn": "false",
}
CALI = {
    "--net_name": NET,
    "--model": r"\./centernet\.pt",
    "--cali_image_path": r"\./images",
    "--cali_image_preprocess": f"resize_h=\\d+,resize_w=\\d+;mean_value={TRIPLE},scale={TRIPLE},bgr2rgb=False",
    "--cali_iterations": r"\d+",
    "--input_shapes": r"\[1,3,\d+,\d+\]",
    "--target": "BM1684|BM1684X",
}
BMNETU = {
    "--model": r"centernet_bmnetp_deploy_int8_unique_top\.prototxt",
    "--weight": r"centernet_bmnetp\.int8umodel",
    "-net_name": NET,
    "--shapes": SHAPE,
    "-target": "BM1684|BM1684X",
    "-opt": "1",
    "-outdir": "compilation",
}

# Its layers' names are of its own trace; 30, 33 and 36 are those of another one.
PROTOTXT = """name: "centernet_bmnetp"
layer {
  name: "x.1"
  type: "Input"
  top: "30"
}
layer { name: "214" type: "Convolution" bottom: "33" top: "214" }
layer { name: "217" type: "Convolution" bottom: "33" top: "217" }
layer { name: "220" type: "Convolution" bottom: "33" top: "220" }
"""


def behaviour():
    path = ROOT / "behaviour.json"
    return json.loads(path.read_text()) if path.exists() else {}


def note(what):
    with (ROOT / "calls").open("a") as stream:
        stream.write(json.dumps(what) + "\n")


def refuse(message):
    print(f"error: {message}")
    sys.exit(1)


def options(given, known, optional=()):
    found = {}
    for argument in given:
        name, sign, value = argument.partition("=")
        form = known.get(name, dict(optional).get(name))
        if not sign or form is None or name in found or not re.fullmatch(form, value):
            refuse(f"argument {argument}")
        found[name] = value
    for name in known:
        if name not in found:
            refuse(f"{name} is missing")
    return found


def put(name, data):
    left = behaviour().get("leaves", "all")
    if left == "nothing":
        return
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"" if left == "empty" else data)


def bmodel(target, shape, precision):
    batch = shape.strip("[]").split(",")[0]
    return (ROOT / "bmodels" / f"{target}-{precision}-{batch}").read_bytes()


def bmnetp(arguments):
    found = options(arguments, BMNETP)
    if not Path(found["--model"]).read_bytes():
        refuse("no module")
    put("compilation/compilation.bmodel", bmodel(found["--target"], found["--shapes"], "fp32"))
    put("compilation/input_ref_data.dat", b"in")
    put("compilation/output_ref_data.dat", b"out")


def cali_model(arguments):
    found = options(arguments, CALI, {"--fp32_layer_list": r"[^,\s]+(,[^,\s]+)*"}.items())
    images = sorted(Path(found["--cali_image_path"]).iterdir())
    if len(images) != int(found["--cali_iterations"]):
        refuse(f"{len(images)} images")
    kept = ROOT / "images"
    kept.mkdir(exist_ok=True)
    for image in images:
        (kept / image.name).write_bytes(image.read_bytes())
    network = f"{NET}_bmnetp"
    put(f"{network}_deploy_int8_unique_top.prototxt", PROTOTXT.encode())
    put(f"{network}.int8umodel", f"int8 for {found['--target']}".encode())
    put(f"{NET}_batch1/compilation.bmodel", bmodel(found["--target"], found["--input_shapes"], "int8"))


def bmnetu(arguments):
    found = options(arguments, BMNETU)
    if Path(found["--weight"]).read_text() != f"int8 for {found['-target']}" or not Path(found["--model"]).exists():
        refuse("no int8 network for this chip")
    put("compilation/compilation.bmodel", bmodel(found["-target"], found["--shapes"], "int8"))


def docker(arguments):
    """Be a docker that has one image, in which this machine's files and programs are."""
    wanted = behaviour()
    if "DOCKER_HOST" in os.environ or os.environ.get("HOME") != os.environ.get("TMPDIR"):
        print("Error: the environment is not the command's", file=sys.stderr)
        return 1
    if wanted.get("no_daemon"):
        print("Cannot connect to the Docker daemon at unix:///run/docker.sock. Is it running?", file=sys.stderr)
        return 1
    if arguments[:2] == ["image", "inspect"]:
        if arguments[2:] != ["--format", "{{.Id}}", "vendor/image:v2.1"] or wanted.get("no_image"):
            print(f"Error: No such image: {arguments[-1]}", file=sys.stderr)
            return 1
        print("sha256:" + "a" * 64)
        return 0
    flags, rest = [], list(arguments)
    while rest and rest[0] != "sha256:" + "a" * 64:
        flags.append(rest.pop(0))
    mounts = {
        inside.split(":")[0]: outside for outside, _, inside in (m.partition(":") for m in after(flags, "--volume"))
    }
    if not {"run", "--rm", "--init", "--pull=never", "--network=none", "--workdir=/scratch"} <= set(flags) or not rest:
        refuse(f"docker {arguments}")
    if after(flags, "--user") != [f"{os.getuid()}:{os.getgid()}"] or mounts["/scratch"] != str(Path.cwd()):
        refuse(f"docker {arguments}")
    inner = [mounts.get(one, one) for one in rest[1:]]
    os.execvpe(inner[0], inner, inside(flags, mounts))


def inside(flags, mounts):
    """The environment in the container: the image's own, and what is given by name, with a value or the client's."""
    found = {"PATH": f"{ROOT / 'bin'}:/usr/local/bin:/usr/bin:/bin"}
    for given in (flag[len("--env=") :] for flag in flags if flag.startswith("--env=")):
        name, sign, value = given.partition("=")
        if sign or name in os.environ:
            found[name] = mounts.get(value, value) if sign else os.environ[name]
    return found


def after(flags, name):
    return [flags[index + 1] for index, flag in enumerate(flags) if flag == name]


def python(arguments):
    if arguments[0] == "-c":
        time.sleep(behaviour().get("look_s", 0))
        sys.path.insert(0, str(ROOT / "site"))
        exec(arguments[1], {})
        return 0
    {"bmnetp": bmnetp, "ufw.cali.cali_model": cali_model}[arguments[1]](arguments[2:])
    return 0


def main():
    arguments = sys.argv[1:]
    note([PROGRAM, *arguments])
    if PROGRAM == "docker":
        return docker(arguments)
    wanted = behaviour()
    own = {"HOME": str(Path.cwd()), "TMPDIR": str(Path.cwd()), "LANG": "C.UTF-8", "OMP_NUM_THREADS": "2"}
    for name, value in own.items():
        if os.environ.get(name) != value:
            refuse(f"{name} is {os.environ.get(name)}, not {value}")
    if wanted.get("needs_setup") and os.environ.get("NNTC_SETUP") != "done":
        refuse("scripts/envsetup.sh was not read")
    if arguments[:1] != ["-c"]:
        if wanted.get("hangs"):
            time.sleep(600)
        if "says" in wanted:
            print(wanted["says"], flush=True)
        if wanted.get("status"):
            return wanted["status"]
    if PROGRAM == "bmnetu":
        bmnetu(arguments)
        return 0
    return python(arguments)


sys.exit(main())
