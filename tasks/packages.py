"""Which Python packages an environment has, read from what their installers left; starts none of its programs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from settings.locations import PROJECT

_LONGEST_LICENCE = 80
_CLASSIFIER = "License :: "


class Package(NamedTuple):
    """A package that is installed.

    Attributes:
        name: In its canonical form.
        version: As installed, with the local part such as `+cpu`.
        expression: Its licence as an SPDX expression, where its maker gives one.
        licence: Else its licence in the maker's words; None where they fill more than a line, or there are none.
    """

    name: str
    version: str
    expression: str | None
    licence: str | None


def packages_in(site_packages: Path) -> tuple[Package, ...]:
    """Return all packages of an environment, by name.

    Args:
        site_packages: The folder that they lie in.
    """
    found = (_described(one) for one in distributions(path=[str(site_packages)]))
    return tuple(sorted({one.name: one for one in found}.values()))


def needed_packages(requirements: Iterable[str]) -> tuple[Package, ...]:
    """Return what requirements bring along in this process's own environment, by name.

    Args:
        requirements: As in a requirements file.

    Returns:
        Each package that is named, and what it needs in turn. What is not installed is left out: markers and extras
        that do not apply here need not be there.
    """
    waiting = [Requirement(line) for line in requirements]
    seen: set[tuple[str, str]] = set()
    found: dict[str, Package] = {}
    while waiting:
        asked = waiting.pop()
        for extra in ("", *sorted(asked.extras)):
            key = (canonicalize_name(asked.name), extra)
            if key in seen:
                continue
            seen.add(key)
            try:
                installed = distribution(asked.name)
            except PackageNotFoundError:
                continue
            found[key[0]] = _described(installed)
            waiting += _requires(installed, extra)
    return tuple(found[name] for name in sorted(found))


def build_requirements() -> tuple[str, ...]:
    """Return what the build environment is made from, `requirements.txt` without its comments."""
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    return tuple(line for line in lines if line.strip() and not line.startswith("#"))


def device_package() -> tuple[str, str, tuple[str, ...]]:
    """Return name, version and requirements of the package that a device installs."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {})
    optional = [f"{one} (extra {extra})" for extra in sorted(extras) for one in extras[extra]]
    return project["name"], project["version"], (*project["dependencies"], *optional)


def _requires(installed: Distribution, extra: str) -> Iterator[Requirement]:
    for line in installed.requires or ():
        try:
            needed = Requirement(line)
        except InvalidRequirement:  # of a package whose maker did not look
            continue
        plain = needed.marker is None
        if (plain and not extra) or (needed.marker is not None and needed.marker.evaluate({"extra": extra})):
            yield needed


def _described(installed: Distribution) -> Package:
    facts = installed.metadata
    expression = next(iter(facts.get_all("License-Expression") or ()), None)
    words = [line.removeprefix(_CLASSIFIER) for line in facts.get_all("Classifier") or () if _CLASSIFIER in line]
    licence = "; ".join(sorted({word.removeprefix("OSI Approved :: ") for word in words} - {"OSI Approved"}))
    if not licence:
        text = next(iter(facts.get_all("License") or ()), "").strip()
        licence = text if len(text) <= _LONGEST_LICENCE and not re.search(r"[\r\n]|^UNKNOWN$", text) else ""
    return Package(
        canonicalize_name(facts["Name"]), installed.version, expression, None if expression else licence or None
    )
