"""A stand-in compiler that stands where provisioning looks for the real one, so that other processes find it too."""

from __future__ import annotations

import json
from pathlib import Path

from settings.sections import ToolchainSettings
from tasks.toolchain.contents import READY
from tasks.toolchain.provision import fingerprint, package_set, recipe_of
from tests.flows.tiny import write_environment


def stand(cache: Path, version: str = ToolchainSettings().version) -> Path:
    """Make the stand-in's environment in a cache folder as one that was installed.

    Args:
        cache: What `CENTERNET_CACHE` shall name.
        version: The release that it is taken for.

    Returns:
        Its folder.
    """
    recipe = recipe_of(version)
    folder = cache / "toolchains" / recipe.folder
    write_environment(folder)
    packages = folder / "lib" / "python3.10" / "site-packages"
    packages.mkdir(parents=True)
    facts = {
        "version": version,
        "python": str(folder / "bin" / "python"),
        "fingerprint": fingerprint(version, package_set(packages), recipe.quirk_names),
        "quirks": recipe.quirk_names,
    }
    (folder / READY).write_text(json.dumps(facts))
    return folder
