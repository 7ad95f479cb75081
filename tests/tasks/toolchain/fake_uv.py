"""Stands for uv: makes a folder like an environment, with packages in it, or fails in uv's own words.

What it does is told by `behaviour.json` beside it; each call leaves a line in `calls`. Standard library only.
"""

import json
import os
import sys
import time
from pathlib import Path

HERE = Path(sys.argv[0]).resolve().parent
UNREACHABLE = """error: Request failed after 3 retries in 10.2s
  cause: Failed to fetch: {}/tpu-mlir/
  cause: error sending request for url ({}/tpu-mlir/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)"""
NO_RELEASE = """error: No solution found when resolving dependencies
  cause: Because there is no version of tpu-mlir[torch]==9.99.0 and you require tpu-mlir[torch]==9.99.0, we can
conclude that your requirements are unsatisfiable."""
FULL = "error: Failed to install: torch-2.11.0.whl\n  cause: No space left on device (os error 28)"
FAILURES = {"unreachable": UNREACHABLE, "no release": NO_RELEASE, "full disk": FULL}
PYTHON = """#!/bin/sh
echo "$0 $@" >> {calls}
{answer}
"""


def make_environment(python: str, folder: Path) -> int:
    if "broken" in python:
        print("error: Querying Python failed")
        return 2
    folder.mkdir()  # fails where one is, as uv does
    (folder / "bin").mkdir()
    version = "3.11.7" if "3.11" in python else "3.10.13"
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\nuv = 0.13.9\nversion_info = {version}\n")
    answer = "echo 'ImportError: libX.so: cannot open'; exit 1" if wanted.get("smoke") == "fails" else "echo ready"
    path = folder / "bin" / "python"
    path.write_text(PYTHON.format(calls=HERE / "calls", answer=answer))
    path.chmod(0o755)
    return 0


def install(folder: Path, constraints: list[str]) -> int:
    site_packages = folder / "lib" / "python3.10" / "site-packages"
    for name in ("python/tools", "bin", "lib/third_party"):
        (site_packages / "tpu_mlir" / name).mkdir(parents=True)
    for line in constraints:
        (site_packages / f"{line.replace('==', '-')}.dist-info").mkdir()
    print(f"pid {os.getpid()}", flush=True)
    if wanted.get("slow"):
        (HERE / "pid").write_text(str(os.getpid()))
        time.sleep(wanted["slow"])
    if wanted.get("leaves") == "no package":
        (site_packages / "tpu_mlir").rename(site_packages / "tpu_other")
    for tool in ("model_transform", "run_calibration", "model_deploy"):
        if wanted.get("leaves") != "no tools":
            (folder / "bin" / tool).write_text("#!/bin/sh\n")
            (folder / "bin" / tool).chmod(0o755)
    return 0


def find_python() -> int:
    got = (HERE / "got").exists()
    if wanted.get("python") == "none" or (wanted.get("python") == "after download" and not got):
        print("error: No interpreter found for Python 3.10 in managed installations or search path")
        return 2
    print("/usr/bin/python3.10")
    return 0


def download_python() -> int:
    if wanted.get("python") == "none":
        print("error: Failed to install cpython-3.10.22\n  cause: error sending request for url")
        return 1
    (HERE / "got").touch()
    return 0


def main(arguments: list[str]) -> int:
    if arguments[0] == "python":
        return find_python() if arguments[1] == "find" else download_python()
    if arguments[0] == "venv":
        return make_environment(arguments[2], Path(arguments[3]))
    python = Path(arguments[arguments.index("--python") + 1])
    constraints = Path(arguments[arguments.index("--constraint") + 1]).read_text().split()
    if wanted.get("fails"):
        print(FAILURES[wanted["fails"]].replace("{}", "http://127.0.0.1:9/simple"))
        return 2
    return install(python.parent.parent, constraints)


behaviour = HERE / "behaviour.json"
wanted = json.loads(behaviour.read_text()) if behaviour.exists() else {}
with (HERE / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\n")
sys.exit(main(sys.argv[1:]))
