"""What install.py does on a board without a network, which starts this.

Lies in the bundle and needs nothing but Python 3.8 or newer with pip. Every file is hashed before any is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
DONE, FAILED = 0, 1
CHUNK_BYTES = 1 << 20
OUR_PACKAGE = "centernet-sophon-device"
OUR_WHEEL = r"wheels/centernet_sophon_device-([^/-]*)-[^/]*\.whl"
HELP = """usage: {python} install.py [OPTION FOR PIP ...]

Hashes all that the bundle holds, then installs its packages for the Python that runs this, from the bundle alone, and
says how to pull the release out of it. Installs nothing where a file is damaged or is not of the bundle, or where the
bundle is for another machine or Python.

Options are handed to pip, such as
  --user            for this user alone
  --target FOLDER   into a folder, to be named by PYTHONPATH
  --dry-run         installs nothing and says what would be (pip 22.2 or newer)
All others: {python} -m pip install --help"""
# Asks the Python that pip installed for: where it looks may have come into being just now.
FIND = """
import sys
from importlib.metadata import distributions
places = {"path": sys.argv[2:]} if sys.argv[2:] else {}
print(*(one.version for one in distributions(name=sys.argv[1], **places)))
"""


class Wheel(NamedTuple):
    """The project's own package in the bundle.

    Attributes:
        name: Of its file, below the bundle's folder.
        version: Of the package.
    """

    name: str
    version: str


def main(arguments: list[str]) -> int:
    """Install.

    Args:
        arguments: What pip shall be told besides, such as `--user`.

    Returns:
        0 done, 1 failed.
    """
    if {"-h", "--help"} & set(arguments):
        print(HELP.format(python=sys.executable))
        return DONE
    try:
        manifest = read_manifest(HERE / "bundle.json")
        reasons = unfit(manifest) + damaged(manifest, HERE) + unlisted(manifest, HERE)
        ours = our_wheel(manifest)
    except ValueError as error:
        reasons = [str(error)]
    if reasons:
        print("error: nothing was installed: {}".format("; ".join(reasons[:10])), file=sys.stderr)
        return FAILED
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", str(HERE / "wheels")]
    # What a user or a machine set for pip, such as an index or constraints, is not about this bundle.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment["PIP_CONFIG_FILE"] = os.devnull
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    done = subprocess.run([*command, *arguments, f"{HERE / ours.name}[signatures]"], env=environment, check=False)
    if done.returncode != 0:
        print("error: pip could not install the packages; what it said stands above", file=sys.stderr)
        return FAILED
    return report(arguments, ours.version, HERE / "release" / manifest["profile"])


def report(arguments: list[str], version: str, release: Path) -> int:
    """Say what became of the packages: that pip reported no error need not mean that they are there.

    Args:
        arguments: What pip was told.
        version: Of the project's own package.
        release: The release in the bundle.

    Returns:
        0 where all is as it was asked for, 1 otherwise.
    """
    if any(len(one) > len("--d") and "--dry-run".startswith(one) for one in arguments):  # pip takes it shortened too
        print("nothing was installed, because of --dry-run; the bundle is whole and fits this Python")
        return DONE
    target = target_of(arguments)
    if version in found_versions(target):
        python = sys.executable if target is None else f"PYTHONPATH={shlex.quote(str(target))} {sys.executable}"
        print("installed. The release is pulled from here (--chip, --precision, --batch choose the model):")
        print(f"  {python} -m inference pull oci:{release}")
        return DONE
    said = f"pip reported no error, but {sys.executable} does not find {OUR_PACKAGE} {version}"
    if arguments:
        # --root and --prefix put them where this Python need not look, and that was asked for.
        print(f"{said} where it looks: with {' '.join(arguments)} they may lie elsewhere, to be named by PYTHONPATH")
        return DONE
    print(f"error: {said}; what pip said stands above", file=sys.stderr)
    return FAILED


def target_of(arguments: list[str]) -> Path | None:
    """Return the folder that pip was told to install into, None where it was told none."""
    for place, one in enumerate(arguments):
        name, _, value = one.partition("=")
        if name == "--target":
            return Path(value or "".join(arguments[place + 1 : place + 2])).absolute()
        if one.startswith("-t"):
            return Path(one[2:] or "".join(arguments[place + 1 : place + 2])).absolute()
    return None


def found_versions(target: Path | None) -> list[str]:
    """Return the versions of the project's own package that a new process of this Python finds."""
    command = [sys.executable, "-c", FIND, OUR_PACKAGE, *([] if target is None else [str(target)])]
    # Not from the user's folder, which may be a checkout of the project.
    done = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.split()


def read_manifest(path: Path) -> dict[str, Any]:
    """Read what the bundle says about itself.

    Returns:
        The manifest; its texts are plain words, and its files' names lead nowhere else.

    Raises:
        ValueError: It cannot be read, or is none; the message says so.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"bundle.json cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError("bundle.json is damaged: it is no JSON") from error
    if not is_manifest(manifest):
        raise ValueError("bundle.json is damaged, or not of a bundle that this program knows")
    return dict(manifest)


def is_manifest(value: Any) -> bool:
    """Tell whether a value has all that is read of a manifest here; what is printed may not steer a terminal."""
    if not isinstance(value, dict) or not isinstance(value.get("pythons"), dict):
        return False
    texts = [value.get(name) for name in ("kind", "machine", "glibc", "profile")]
    texts += [text for item in value["pythons"].items() for text in item]
    plain = all(isinstance(text, str) and re.fullmatch("[A-Za-z0-9._:+-]{0,200}", text) for text in texts)
    files = value.get("files")
    return plain and isinstance(files, list) and all(is_file(one) for one in files)


def is_file(value: Any) -> bool:
    """Tell whether a value is what a manifest says of a file."""
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in ("name", "digest")):
        return False
    parts = value["name"].split("/")
    return type(value.get("size")) is int and value["name"].isprintable() and not {"", ".", ".."} & set(parts)


def our_wheel(manifest: dict[str, Any]) -> Wheel:
    """Return the project's own package in the bundle.

    Raises:
        ValueError: The manifest lists none, or several.
    """
    matches = [re.fullmatch(OUR_WHEEL, one["name"]) for one in manifest["files"]]
    found = [Wheel(one.group(0), one.group(1)) for one in matches if one]
    if len(found) != 1:
        raise ValueError(f"it is no device bundle: bundle.json lists {len(found)} packages of ours instead of one")
    return found[0]


def unlisted(manifest: dict[str, Any], folder: Path) -> list[str]:
    """Say what lies among the packages and is not the bundle's: pip would take it, were its version newer."""
    listed = {one["name"] for one in manifest["files"]}
    found = [path for path in sorted((folder / "wheels").rglob("*")) if path.is_symlink() or not path.is_dir()]
    names = [path.relative_to(folder).as_posix() for path in found if not path.is_symlink()]
    names += [path.relative_to(folder).as_posix() + " (a link)" for path in found if path.is_symlink()]
    reasons = [f"{name!a} is not of this bundle" for name in names if name not in listed]
    return [*reasons, "unpack the bundle into a new folder"] if reasons else []


def unfit(manifest: dict[str, Any]) -> list[str]:
    """Say why a bundle does not fit this machine and this Python; empty where it does."""
    here = "{}.{}".format(*sys.version_info[:2])
    reasons = []
    if manifest["kind"] != "device":
        reasons.append("this is a {} bundle, not one for a device".format(manifest["kind"]))
    if manifest["machine"] != platform.machine():
        reasons.append("it was made for {}, this is {}".format(manifest["machine"], platform.machine()))
    if manifest["pythons"].get("device") != here:
        reasons.append("it was made for Python {}, this is {}".format(manifest["pythons"].get("device"), here))
    if platform.libc_ver()[0] == "glibc" and numbers(platform.libc_ver()[1]) < numbers(manifest["glibc"]):
        reasons.append("it needs the C library {}, here is {}".format(manifest["glibc"], platform.libc_ver()[1]))
    return reasons


def damaged(manifest: dict[str, Any], folder: Path) -> list[str]:
    """Say which files of a bundle are not there as they were packed."""
    reasons = []
    for one in manifest["files"]:
        path = folder / one["name"]
        if not path.is_file():
            reasons.append("{} is missing".format(one["name"]))
        elif path.stat().st_size != one["size"] or digest(path) != one["digest"]:
            reasons.append("{} is damaged".format(one["name"]))
    return reasons


def digest(path: Path) -> str:
    """Return the digest of a file as the manifest writes it."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
            hasher.update(chunk)
    return "sha256:" + hasher.hexdigest()


def numbers(version: str) -> list[int]:
    """Return a version as numbers that can be compared."""
    return [int(part) for part in re.findall("[0-9]+", version)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
