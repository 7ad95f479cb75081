"""From judged variants to an immutable release in the registry, and to a folder beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from artifacts import layout
from artifacts.attachments import LayoutPlace
from artifacts.measurements import Loss
from artifacts.release import (
    ReleaseRecord,
)
from artifacts.store import Blob
from settings.model import Settings
from tasks.attempts import Sensitivity, Tried
from tasks.calibration_checks import Check
from tasks.judgement import MeasuredLoss, Verdict
from tasks.records import (
    CalibrationSet,
    CalibrationTable,
    Checkpoint,
    Compiled,
    ImageSet,
    Measured,
    Simulated,
)
from tasks.signing import promote, sign_release, subject_at
from tasks.signing_key import load_signer
from tasks.workspace import Workspace

CHANNEL = "latest"
METRIC = "COCO bbox AP@[.50:.95]"
MANIFEST_TITLE = "calibration.json"
CONTACT_SHEET_TITLE = "calibration.jpg"
REPORT_TITLE = "report.md"


class Results(BaseModel):
    """Everything that a build found out, in the order of the bmodels where there is one a bmodel.

    Attributes:
        checkpoint: The weights.
        calibration: The curated set, None without int8 variants.
        table: The ranges, None without int8 variants.
        evaluation: The evaluation set.
        compiled: The bmodels.
        network: The eager network's accuracy.
        reference: The TorchScript's.
        measured: One rung for each chip and precision.
        losses: What each of them loses against the TorchScript.
        simulated: One result for each bmodel that was run in the simulator.
        verdicts: One a bmodel.
        checks: What was checked of the calibration; none without int8 variants.
        golden: The golden inputs and outputs, by title.
        attempts: Ways to make int8 that were tried, where the first lost too much.
        sensitivities: Which tensors bring int8's error into the heads, where an attempt asked for that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: Checkpoint
    calibration: CalibrationSet | None
    table: CalibrationTable | None
    evaluation: ImageSet
    compiled: tuple[Compiled, ...]
    network: Measured
    reference: Measured
    measured: tuple[Measured, ...]
    losses: tuple[MeasuredLoss, ...] = ()
    simulated: tuple[Simulated, ...]
    verdicts: tuple[Verdict, ...]
    checks: tuple[Check, ...] = ()
    golden: Mapping[str, Blob] = Field(default_factory=dict)
    attempts: tuple[Tried, ...] = ()
    sensitivities: tuple[Sensitivity, ...] = ()

    def rung(self, compiled: Compiled) -> Measured:
        """The rung that was measured for a bmodel's chip and precision."""
        wanted = (compiled.variant.chip, compiled.variant.precision)
        return next(one for one in self.measured if one.variant and (one.variant.chip, one.variant.precision) == wanted)

    def loss(self, rung: Measured) -> Loss | None:
        """What a rung loses against the TorchScript, None where that was not measured."""
        return next((one.bounds for one in self.losses if one.variant == rung.variant), None)

    def matching_scores(self, rung: Measured) -> tuple[tuple[float, float], ...]:
        """The TorchScript's scores, each with the score at which a rung finds as many objects."""
        return next((one.scores for one in self.losses if one.variant == rung.variant), ())

    def simulation(self, compiled: Compiled) -> Simulated | None:
        """What the simulator gave for a bmodel, None where it was not run."""
        return next((one for one in self.simulated if one.variant == compiled.variant), None)


class PublishedRelease(BaseModel):
    """A release in the registry.

    Attributes:
        digest: Its name.
        version: Its tag.
        changed: Whether anything was written, or it was there already.
        folder: Where the release lies as plain files; None where no channel was moved to it.
        repository: The registry's folder.
        pushed: Where it is on a server, None when it was pushed nowhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    version: str
    changed: bool
    folder: str | None
    repository: str
    pushed: str | None = None


@task(task_run_name="publish {record.version}", cache_policy=NO_CACHE)
def publish(
    record: ReleaseRecord, files: Mapping[str, Blob], settings: Settings, workspace: Workspace, channel: str | None
) -> PublishedRelease:
    """Put the release into the registry's layout and lay it out as plain files. Safe to run again.

    Args:
        record: The release.
        files: Title to bytes.
        settings: Where it goes.
        workspace: Where bytes are kept.
        channel: What is moved to it; without one, the folder stays as it is too.

    Returns:
        Where it is, and whether that is new.

    Raises:
        TagExists: The version is taken by another release.
        LayoutError: The registry is damaged, or the folder holds something that is no release.
        SignatureError: The signing key cannot be used, or the channel was signed by another one.
        StoreError: The disk is full, or a folder cannot be written.
    """
    repository = Path(settings.release.repository)
    folder = None if channel is None else Path(settings.release.folder)
    paths = {title: workspace.content.verified(blob) for title, blob in files.items()}
    key = settings.release.signing_key
    signer = None if key is None else load_signer(Path(key), os.environ)
    done = layout.publish(repository, record, paths, tags=tuple(filter(None, (record.version, channel))))
    news = False
    if signer is not None:
        place = LayoutPlace(repository)
        news = sign_release(place, subject_at(place.registry, done.digest), [signer])
        if channel is not None:
            moved = promote([place], done.digest, channel, signers=[signer], now=datetime.now(UTC))
            news = news or moved.changed
    if folder is not None:
        layout.export(repository, done.digest, folder, replace=True)
    return PublishedRelease(
        digest=done.digest,
        version=record.version,
        changed=done.changed or news,
        folder=None if folder is None else str(folder),
        repository=str(repository),
    )
