"""What a build found out, on its way from the last step to a release."""

from __future__ import annotations

from typing import NamedTuple

from artifacts.release import PreprocessSpec
from settings.model import Settings
from tasks.publish import Results
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace


class Findings(NamedTuple):
    """What a build found out, with all that is needed to make a release of it.

    Attributes:
        settings: What it was told.
        spec: How an image becomes the input tensor.
        compiler: The toolchain.
        results: What was made and measured, judged.
        workspace: Where bytes are kept.
    """

    settings: Settings
    spec: PreprocessSpec
    compiler: Toolchain
    results: Results
    workspace: Workspace
