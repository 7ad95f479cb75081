"""Build a release: python -m flows.build [--profile NAME|PATH.toml] [--set key=value ...] [--explain]"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports: they take seconds, which a mistake in the settings should not wait for.
    from artifacts.standard_output import ended
    from flows.command import run_build

    sys.exit(ended(run_build, sys.argv[1:]))

from prefect import flow

from flows.investigate import investigate
from flows.outcome import conclude
from settings.model import Settings
from tasks.discretion import discreet
from tasks.publish import PublishedRelease


@flow(name="build", validate_parameters=True)
def build(settings: Settings) -> PublishedRelease:
    """Turn weights into validated bmodels and publish them, or say why not.

    Args:
        settings: Everything that the build is told.

    Returns:
        The release.

    Raises:
        GateFailed: A variant misses the thresholds.
        TaskError: A step failed.
    """
    with discreet():
        return conclude(investigate(settings))
