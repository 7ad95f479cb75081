"""Known vulnerabilities of pinned packages, as pip-audit tells them; what cannot be told is never taken for none."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import uv

from tasks.toolchain.installer import uv_environment

AUDITOR = "pip-audit==2.10.1"
PROBE = "requests==2.19.0"
"""Known to be vulnerable since 2018 (CVE-2018-18074): a database that has nothing against it is none.

Where it cannot be asked about a package, pip-audit says that no known vulnerabilities were found, and ends with 0.
"""

Service = Literal["pypi", "osv"]
_LIMIT_S = 900.0


class Finding(NamedTuple):
    """A package with known vulnerabilities.

    Attributes:
        name: Its name.
        version: The version that was asked about.
        ids: Of the advisories.
        fixed_in: The versions that mend them, where there are any.
    """

    name: str
    version: str
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...]


class Answer(NamedTuple):
    """What the database said of a list.

    Attributes:
        findings: Packages with known vulnerabilities.
        unknown: Packages that it said nothing of, with the reason.
        asked: How many packages it was asked about.
    """

    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]
    asked: int


class Outdated(NamedTuple):
    """An installed package of which the index has a newer version."""

    name: str
    version: str
    newest: str


def pins(*lists: Path) -> tuple[str, ...]:
    """Return the exact versions that lists of packages hold."""
    lines = (line.strip() for path in lists for line in path.read_text().splitlines())
    return tuple(sorted({line for line in lines if line and not line.startswith("#")}))


def ask(pinned: Sequence[str], service: Service) -> Answer | None:
    """Ask a database about exact versions.

    Args:
        pinned: `name==version` each.
        service: Which database.

    Returns:
        Its answer; None where it gave none.
    """
    with tempfile.TemporaryDirectory(prefix="centernet-audit-") as name:
        wanted = Path(name) / "wanted.txt"
        wanted.write_text("".join(f"{line}\n" for line in pinned))
        command = [uv.find_uv_bin(), "tool", "run", "--from", AUDITOR, "pip-audit", "--format", "json", "--desc", "off"]
        command += ["--progress-spinner", "off", "--no-deps", "--disable-pip", "--requirement", str(wanted)]
        said = _output([*command, "--vulnerability-service", service])
    return None if said is None else answer_in(said)


def answer_in(text: str) -> Answer | None:
    """Read what pip-audit printed; None where it is no answer of its own."""
    try:
        entries: list[dict[str, Any]] = json.loads(text)["dependencies"]
        findings = tuple(_finding(entry) for entry in entries if entry.get("vulns"))
        unknown = tuple(f"{entry['name']} ({entry['skip_reason']})" for entry in entries if "skip_reason" in entry)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return Answer(findings, unknown, len(entries))


def answers(service: Service) -> bool:
    """Whether a database can be believed: it has to know what has been known for years."""
    found = ask([PROBE], service)
    return found is not None and bool(found.findings) and not found.unknown


def outdated(python: Path) -> tuple[Outdated, ...] | None:
    """Return of which installed packages the package index has newer versions.

    Args:
        python: Of the environment.

    Returns:
        By name; None where the index cannot be asked.
    """
    said = _output([uv.find_uv_bin(), "pip", "list", "--outdated", "--format", "json", "--python", str(python)])
    try:
        entries: list[dict[str, str]] = json.loads(said or "")
        return tuple(Outdated(entry["name"], entry["version"], entry["latest_version"]) for entry in entries)
    except (ValueError, LookupError, TypeError):
        return None


def told(findings: Iterable[Finding]) -> str:
    """Say which packages are vulnerable, one a line."""
    return "\n".join(
        f"  {one.name} {one.version}: {', '.join(one.ids)}; mended in {', '.join(one.fixed_in) or 'no release yet'}"
        for one in findings
    )


def _finding(entry: dict[str, Any]) -> Finding:
    advisories = entry["vulns"]
    fixed = {version for advisory in advisories for version in advisory.get("fix_versions", ())}
    return Finding(entry["name"], entry["version"], tuple(one["id"] for one in advisories), tuple(sorted(fixed)))


def _output(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(
            command,
            env=uv_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout
