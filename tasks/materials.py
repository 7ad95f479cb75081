"""The bill of materials of a release: what it was made from, as CycloneDX 1.6 (ECMA-424).

No time and no serial number, no path, no address and no commit: equal builds in equal environments give equal bytes,
which are a file of the release.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from artifacts.digest import canonical_json, hex_of
from artifacts.media import PREFIX
from artifacts.store import Blob
from inference.annotations import dataset_digest
from settings.model import Settings
from tasks.packages import Package, build_requirements, device_package, needed_packages, packages_in
from tasks.publish import Results
from tasks.toolchain.installer import PYTHON
from tasks.toolchain.model import Toolchain

SBOM_TITLE = "sbom.cdx.json"

_RELEASE, _BUILD, _COMPILER, _DEVICE = "release", "build", "compiler", "device"
Component = dict[str, Any]


def bill_of_materials(results: Results, files: Mapping[str, Blob], settings: Settings, compiler: Toolchain) -> bytes:
    """Write down what a release was made from.

    Args:
        results: What the build found out.
        files: The release's other files.
        settings: What the build was told.
        compiler: The toolchain.

    Returns:
        CycloneDX as JSON.
    """
    site_packages = next(Path(compiler.root).glob("lib/python3*/site-packages"), None)
    return document(
        release=_release(settings, files),
        inputs=_inputs(results),
        build=needed_packages(build_requirements()),
        compiler=compiler,
        compilers=() if site_packages is None else packages_in(site_packages),
    )


def document(
    *,
    release: Component,
    inputs: Sequence[Component],
    build: Sequence[Package],
    compiler: Toolchain,
    compilers: Sequence[Package],
) -> bytes:
    """Put a bill of materials together.

    Args:
        release: The release as a component.
        inputs: Weights and images, as components.
        build: Packages of the build environment.
        compiler: The toolchain.
        compilers: Packages of its environment.

    Returns:
        CycloneDX as JSON.
    """
    name, version, requirements = device_package()
    ours = _application(
        _BUILD, "centernet-sophon", version, [("python", f"{sys.version_info[0]}.{sys.version_info[1]}")]
    )
    theirs = [("python", PYTHON), ("fingerprint", compiler.fingerprint), *(("quirk", one) for one in compiler.quirks)]
    made_by = _application(_COMPILER, compiler.name, compiler.version, theirs)
    device = _application(_DEVICE, name, version, [("requires", one) for one in requirements])
    built = [_library(_BUILD, one) for one in build]
    compiled = [_library(_COMPILER, one) for one in compilers]
    return canonical_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": release},
            "components": [*inputs, ours, made_by, device, *built, *compiled],
            "dependencies": [
                {"ref": _RELEASE, "dependsOn": [*_refs(inputs), _BUILD, _COMPILER]},
                {"ref": _BUILD, "dependsOn": _refs(built)},
                {"ref": _COMPILER, "dependsOn": _refs(compiled)},
            ],
        }
    )


def purl(package: Package) -> str:
    """Return the package URL of a package of the Python index (package-url/purl-spec, type pypi)."""
    return f"pkg:pypi/{package.name}@{quote(package.version, safe='')}"


def _release(settings: Settings, files: Mapping[str, Blob]) -> Component:
    # Without its version, which is made from the digests of all files, and so of this one.
    inside = [{"type": "file", "name": title, "hashes": _hashes(files[title])} for title in sorted(files)]
    return {
        "type": "machine-learning-model",
        "bom-ref": _RELEASE,
        "name": settings.release.name,
        "components": inside,
    }


def _inputs(results: Results) -> list[Component]:
    weights = {
        "type": "machine-learning-model",
        "bom-ref": "weights",
        "name": "weights",
        "hashes": _hashes(results.checkpoint.blob),
    }
    found = [weights]
    if results.calibration is not None:
        about = [("images", str(len(results.calibration.images)))]
        found.append(_data("calibration", results.calibration.manifest, about))
    annotations = results.evaluation.annotations
    if annotations is not None:
        images = [(image.name, image.blob.digest) for image in results.evaluation.images]
        about = [("images", str(len(images))), ("dataset", dataset_digest(annotations.digest, images))]
        found.append(_data("evaluation", annotations, about))
    return found


def _data(name: str, list_of_it: Blob, about: Iterable[tuple[str, str]]) -> Component:
    return {
        "type": "data",
        "bom-ref": name,
        "name": f"{name} images",
        "data": [{"type": "dataset", "name": f"{name} images"}],
        "hashes": _hashes(list_of_it),
        "properties": _properties(about),
    }


def _application(ref: str, name: str, version: str, about: Iterable[tuple[str, str]]) -> Component:
    return {"type": "application", "bom-ref": ref, "name": name, "version": version, "properties": _properties(about)}


def _library(environment: str, package: Package) -> Component:
    found: Component = {
        "type": "library",
        "bom-ref": f"{environment}:{purl(package)}",
        "name": package.name,
        "version": package.version,
        "purl": purl(package),
    }
    if package.expression is not None:
        found["licenses"] = [{"expression": package.expression}]
    elif package.licence is not None:
        found["licenses"] = [{"license": {"name": package.licence}}]
    return found


def _hashes(blob: Blob) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": hex_of(blob.digest)}]


def _properties(facts: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": f"{PREFIX}:{name}", "value": value} for name, value in facts]


def _refs(components: Iterable[Component]) -> list[str]:
    return [one["bom-ref"] for one in components]
