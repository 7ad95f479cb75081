"""What each chip and precision loses against the TorchScript: AP with its bounds, and how far scores move."""

from __future__ import annotations

from artifacts.measurements import Loss
from inference.annotations import read_annotations
from settings.sections import Judging
from tasks.attempts import NO_LABEL, Label
from tasks.bootstrap import judged_images, paired_loss
from tasks.judgement import MeasuredLoss
from tasks.records import ImageSet, Measured
from tasks.rungs import by_image_id, load_detections
from tasks.score_map import matching_scores
from tasks.step import step
from tasks.workspace import Workspace


@step(version=2, slot="loss {measured.variant.chip} {measured.variant.precision}{attempt}")
def measure_loss(
    measured: Measured,
    reference: Measured,
    images: ImageSet,
    judging: Judging,
    workspace: Workspace,
    attempt: Label = NO_LABEL,
) -> MeasuredLoss:
    """Compare what a rung found with what the TorchScript found, on the same images.

    Apart from the evaluation, so that another way of comparing does not run the interpreter again.

    Args:
        measured: The rung.
        reference: The TorchScript.
        images: The evaluation set.
        judging: How accuracy is measured.
        workspace: Where bytes are kept.
        attempt: Which attempt at int8 it is.

    Returns:
        The loss, and which scores mean the same; neither where accuracy was not measured or nothing is annotated.
    """
    if measured.variant is None:
        raise ValueError("the loss of a rung before the compiler is not judged")
    bounds: Loss | None = None
    scores: tuple[tuple[float, float], ...] = ()
    if measured.ap is not None and reference.ap is not None and images.annotations is not None:
        content = workspace.content
        truth = read_annotations(content.verified(images.annotations))
        before, after = (
            judged_images(truth, by_image_id(found, truth.images, len(truth.categories)), judging.protocol.top_k)
            for found in (load_detections(content, one.detections) for one in (reference, measured))
        )
        bounds = paired_loss(before, after)
        scores = matching_scores(before, after, floor=judging.protocol.score_floor)
    return MeasuredLoss(variant=measured.variant, bounds=bounds, scores=scores)
