"""The texts on the page of a flow run. Pure but for the pictures, which are read from the store."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from flows.findings import Findings
from settings.model import Settings
from tasks.markdown import escaped, table
from tasks.publish import PublishedRelease
from tasks.report.jpeg import shrunk
from tasks.report.page import PAGE_TITLE, Drawn, Picture, data_uri
from tasks.report.text import VARIANT_HEADING, about, notes, notices, variant_rows
from tasks.report.view import reasons
from tasks.workspace import Workspace

WORST_SHOWN = 2
"""Pairs of pictures for each kind of int8; all of them are in the report."""

_SIDE, _BYTES = 1000, 120_000


def summary(findings: Findings, drawn: Drawn) -> str:
    """Write what somebody sees first: notices, variants, charts, worst images, calibration images.

    A server keeps this for every run, so the pictures are smaller and fewer than in the report.

    Args:
        findings: What the build found out.
        drawn: Its report.

    Returns:
        Markdown with the pictures in it.
    """
    settings, results, workspace = findings.settings, findings.results, findings.workspace
    build = about(settings, f"{findings.compiler.name} {findings.compiler.version}")
    lines = [f"# {build.name}, profile {escaped(build.profile)}", ""]
    for notice in notices(build):
        lines += [f"> **{notice}**", ""]
    refused = reasons(results)
    if refused:
        lines += [*_refused(refused), ""]
    lines += [*(f"- {term}: {text}" for term, text in notes(results, build)), ""]
    lines += [*table(VARIANT_HEADING, variant_rows(results)), ""]
    for picture in drawn.charts:
        lines += [*_shown(picture, data_uri(picture.image, workspace)), ""]
    if drawn.worst:
        lines += ["## Images that lose most in INT8", "", *_worst(drawn.worst, workspace)]
    if drawn.sheet is not None:
        lines += ["## Calibration images", "", *_shown(drawn.sheet, _small(drawn.sheet, workspace)), ""]
    return "\n".join([*lines, f"The whole report is `{PAGE_TITLE}`, beside the release and in it.", ""])


def release_text(published: PublishedRelease, findings: Findings) -> str:
    """Write where a release is and how it is run.

    Args:
        published: The release.
        findings: What it was made of.

    Returns:
        Markdown.
    """
    news = "published" if published.changed else "was published already, nothing is new"
    place = f"oci:{published.repository}:{published.version}"
    lines = [f"# Release {published.version}", "", f"{news}.", "", f"- digest: `{published.digest}`"]
    lines += [f"- registry: `{place}`"]
    if published.folder is None:
        lines += ["- no channel was moved to it: it is had by its version or digest alone"]
    else:
        lines += ["- channel: `latest`", f"- folder: `{published.folder}`"]
        lines += [f"- report: `{Path(published.folder).parent / PAGE_TITLE}`"]
    if published.pushed is not None:
        lines += [f"- server: `{published.pushed}`"]
    command = f"{sys.executable} -m inference detect --model {place} --input IMAGE.jpg --output build/detections"
    lines += ["", "Run it in the simulator of the chip:", "", "```", command, "```"]
    if published.pushed is not None:
        lines += ["", "On a board:", "", "```", f"python -m inference pull {published.pushed}", "```"]
    return "\n".join([*lines, ""])


def refusal(refused: Sequence[tuple[str, Sequence[str]]], settings: Settings) -> str:
    """Write why nothing was published.

    Args:
        refused: Variants and reasons.
        settings: Where the bmodels and the report are kept.

    Returns:
        Markdown.
    """
    kept = Path(settings.release.folder).parent
    where = f"Report and bmodels are kept for inspection in `{kept}`."
    return "\n".join(["# Nothing was published", "", *_refused(refused), "", where, ""])


def _refused(refused: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    count = "1 variant" if len(refused) == 1 else f"{len(refused)} variants"
    items = (f"- `{name}`: {escaped('; '.join(why))}" for name, why in refused)
    return [f"**{count} did not pass the gate, so nothing was published:**", "", *items]


def _worst(pictures: Sequence[Picture], workspace: Workspace) -> Iterator[str]:
    for _, group in groupby(pictures, key=lambda picture: picture.name.rpartition("-")[0]):
        for picture in list(group)[:WORST_SHOWN]:
            yield from (*_shown(picture, _small(picture, workspace)), "")


def _shown(picture: Picture, address: str) -> tuple[str, str, str]:
    return f"![{escaped(picture.alt)}]({address})", "", f"*{escaped(picture.caption)}*"


def _small(picture: Picture, workspace: Workspace) -> str:
    data = shrunk(workspace.content.verified(picture.image).read_bytes(), _SIDE, _BYTES)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
