"""Rebuild when there is a newer compiler: python -m flows.watch [--profile NAME|PATH.toml] [--compiler VERSION]"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal

if __name__ == "__main__":
    # Before the imports: they take seconds, which a look that finds nothing should not wait for.
    from artifacts.standard_output import ended
    from flows.watch_command import run_watch

    sys.exit(ended(run_watch, sys.argv[1:]))

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, ConfigDict

from flows.look import Looked, look
from flows.preflight import check_toolchain
from flows.run_log import join_page
from settings.model import Settings
from tasks.discretion import discreet
from tasks.publish import PublishedRelease
from tasks.verdict.text import summary

if TYPE_CHECKING:
    from flows.rebuild import Rebuilt

log = logging.getLogger(__name__)

HELD = "Held"


class Watched(BaseModel):
    """What a look for a newer compiler led to.

    Attributes:
        outcome: `nothing` was to be done, something `would` be done but only a look was asked for, a release was
            `published`, or one was `held`.
        compiler: The compiler that was looked at.
        message: What happened, in a sentence or two.
        good: Version of the last good release before; None where there was none.
        release: The new one; None where nothing was built.
        verdict: The page that compares them; None where nothing was compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Literal["nothing", "would", "published", "held"]
    compiler: str
    message: str
    good: str | None = None
    release: PublishedRelease | None = None
    verdict: str | None = None


@flow(name="watch", validate_parameters=True)
def watch(settings: Settings, version: str | None = None, dry_run: bool = False) -> Any:
    """Look for a newer compiler; where there is one, rebuild with it and publish if nothing got worse."""
    with discreet():
        return look_and_rebuild(settings, version, dry_run)


def look_and_rebuild(settings: Settings, version: str | None = None, dry_run: bool = False) -> State[Watched]:
    """Look for a newer compiler, inside a flow; build with it, compare with the last good release, publish or hold.

    Args:
        settings: Everything that a build is told; which compiler it names is not looked at.
        version: A release of the compiler to try in place of the newest.
        dry_run: Look only.

    Returns:
        A completed state, named `Held` where a release is held; its data say what happened.

    Raises:
        WrongToolchain: The settings name a compiler whose models are not published.
        IndexUnreachable: The package index does not answer.
        GateFailed: A variant misses the thresholds; nothing was published.
        TaskError: The compiler cannot be installed, or a step failed; nothing was published.
    """
    check_toolchain(settings)
    join_page()
    looked = look(settings, version)
    log.info("%s", looked.message)
    good = None if looked.good is None else looked.good.version
    if dry_run or not looked.news:
        outcome: Literal["nothing", "would"] = "would" if looked.news else "nothing"
        return _completed(Watched(outcome=outcome, compiler=looked.compiler, message=looked.message, good=good))
    # Imported late: torch takes seconds, and most looks find nothing.
    from flows.rebuild import rebuild

    made = rebuild(settings, looked.compiler)
    return _completed(
        Watched(
            outcome="held" if made.held else "published",
            compiler=looked.compiler,
            message=_told(made, looked),
            good=good if made.comparison is None else made.comparison.good.version,
            release=made.published,
            verdict=None if made.verdict is None else str(made.verdict),
        )
    )


def _completed(watched: Watched) -> State[Watched]:
    name = HELD if watched.outcome == "held" else None
    return Completed(name=name, message=watched.message, data=watched)


def _told(made: Rebuilt, looked: Looked) -> str:
    release = f"release {made.published.version} by compiler {looked.compiler}"
    if made.comparison is None:
        return f"{release} is published{', the first of all' if looked.good is None else ' already'}"
    good = made.comparison.good.version
    what = f"is held, latest stays {good}" if made.held else f"took the place of {good}"
    return f"{release} {what}: {summary(made.comparison)}"
