"""Whether there is a newer compiler than that of the last good release. Without Prefect, so that a look is quick."""

from __future__ import annotations

from typing import NamedTuple

from settings.model import Settings
from tasks.toolchain.releases import is_newer, newest
from tasks.verdict.baseline import LastGood, last_good


class Looked(NamedTuple):
    """What a look found.

    Attributes:
        good: The last good release; None where there is none yet.
        compiler: The release of the compiler that was found, or asked for.
        news: Whether there is something to build.
        message: What was found, in a sentence.
    """

    good: LastGood | None
    compiler: str
    news: bool
    message: str


def look(settings: Settings, version: str | None = None) -> Looked:
    """Compare the newest release of the compiler with the one that made the last good release.

    Args:
        settings: Where releases are published.
        version: A release of the compiler to try in place of the newest, older ones too.

    Returns:
        What there is to do. The registry alone decides, so that a look which was lost is made up for by the next.

    Raises:
        IndexUnreachable: The package index does not answer.
        IndexFailed: It has no release for this machine.
        RegistryError: The registry cannot be read.
    """
    good = last_good(settings.release)
    compiler = newest() if version is None else version
    if good is None:
        message = f"nothing is published yet, so there is nothing to compare with: compiler {compiler} makes the first"
        return Looked(None, compiler, True, f"{message} release")
    made = f"the last good release, {good.version}, was made by {good.compiler}"
    if is_newer(compiler, good.compiler):
        return Looked(good, compiler, True, f"compiler {compiler} is newer: {made}")
    if is_newer(good.compiler, compiler):
        asked = version is not None
        what = "it was asked for, and is tried" if asked else "nothing to do"
        return Looked(good, compiler, asked, f"compiler {compiler} is older: {made}; {what}")
    return Looked(good, compiler, False, f"compiler {compiler} is nothing new: {made}")
