"""Stands for the device package: checks what it is given, and leaves a report as the real one does."""

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["STAND_IN_FOLDER"])


def switch(name):
    path = FOLDER / name
    return path.read_text() if path.exists() else None


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def doctor():
    findings = [{"topic": topic, "state": "found", "value": "1", "advice": ""} for topic in ("Python", "numpy")]
    state = "missing" if switch("no-engine") is not None else "found"
    findings += [
        {"topic": topic, "state": state, "value": "none", "advice": "install it"}
        for topic in ("driver", "libsophon", "sail", "devices", "simulator")
    ]
    if switch("no-numpy") is not None:
        findings[1] = {"topic": "numpy", "state": "missing", "value": "there is no package numpy", "advice": "pip"}
    chip = switch("chip")
    if chip:
        findings.append({"topic": "device 0", "state": "found", "value": chip, "advice": ""})
    engine = "sail" if chip else "simulator" if state == "found" else None
    print(json.dumps({"findings": findings, "engine": engine, "model": None, "problem": None}))
    return 0


def validate(arguments):
    parser = argparse.ArgumentParser()
    for name in ("model", "images", "annotations", "report"):
        parser.add_argument("--" + name, required=True, type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--device", type=int)
    parser.add_argument("--preprocess")
    options = parser.parse_args(arguments)
    release = json.loads((options.model.parents[1] / "release.json").read_text())
    path = "/".join(options.model.parts[-2:])
    with (FOLDER / "runs").open("a") as log:
        log.write(f"begin {path}\n")
    if switch("fail"):
        sys.exit("Traceback or so\nerror: " + switch("fail"))
    (FOLDER / "pid").write_text(str(os.getpid()))
    while switch("hold") is not None:
        time.sleep(0.05)
    annotations = options.annotations.read_bytes()
    names = sorted(image["file_name"] for image in json.loads(annotations.decode())["images"])
    lines = [digest(annotations)] + [name + " " + digest((options.images / name).read_bytes()) for name in names]
    model = switch("other-model") or digest(options.model.read_bytes())
    protocol = release["protocol"]
    report = {
        "setting": {
            "engine": options.engine,
            "chip": path.split("/")[0],
            "device": options.device,
            "release": release["name"],
            "version": release["version"],
            "variant": path,
            "model_digest": model,
            "versions": {"python": "3", "libsophon": "0.5.1", "sail": "3.8.0"},
        },
        "protocol": {**protocol, "dataset_digest": digest("\n".join(lines).encode()), "images": len(names)},
        "ap": 0.5,
        "ap50": 0.7,
        "recorded": None,
        "comparable": False,
        "comparison": "not to be compared: a stand-in",
        "stages": {},
        "images_per_second": 1.0,
        "unreadable": names[:1] if switch("unreadable") is not None else [],
    }
    if options.preprocess and switch("ignores-preprocess") is None:
        report["setting"]["preprocess"] = options.preprocess
    options.report.write_text(json.dumps(report))
    with (FOLDER / "runs").open("a") as log:
        log.write(f"end {path}\n")
    return 0


sys.exit(doctor() if sys.argv[1] == "doctor" else validate(sys.argv[2:]))
