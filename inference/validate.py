"""``python -m inference validate``: how accurate a model is on this device, by the protocol of its release."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from pydantic import Field
from typing_extensions import Annotated

from artifacts.protocols import PROTOCOLS, Limits, limits
from artifacts.release import Accuracy, Protocol, ReleaseRecord
from artifacts.variant import Record
from inference.accuracy import breakdown
from inference.annotations import Annotations, class_of_category, dataset_digest, read_annotations
from inference.commands.which_model import open_detector
from inference.decode import Detections
from inference.deploy.local import local_release
from inference.errors import ImageError, OptionError
from inference.feeding import HOST
from inference.looking import Seen, look
from inference.measuring import Figures, Setting, figures_text, setting_of, write_report
from inference.model import ReleasedModel, read_release
from inference.output_files import check_writable, write_whole

METRIC = "COCO bbox AP@[.50:.95]"

_Share = Annotated[float, Field(ge=0, le=1)]


class ValidationReport(Record):
    """What a run of `validate` found.

    Attributes:
        setting: What it was made with.
        protocol: How accuracy was measured, and on what.
        ap: Average precision over IoU 0.50 to 0.95, 0 to 1; None where nothing is annotated.
        ap50: At IoU 0.50.
        ap75: At IoU 0.75; None in older reports.
        by_size: AP of small, medium and large objects, None where there are none; empty in older reports.
        by_class: AP by the class's name, None where nothing of it is annotated; empty in older reports.
        recorded: What the release says of this model.
        comparable: Whether the two may be compared: the data set and the protocol are the same.
        comparison: The difference, or why there is none, in words.
        stages: Times of an image in each stage, and ``total`` of all.
        images_per_second: The stages one after the other, without reading.
        unreadable: Names of the images that could not be read, or are not for what prepares them; they do not count.
    """

    setting: Setting
    protocol: Protocol
    ap: Optional[_Share]
    ap50: Optional[_Share]
    ap75: Optional[_Share] = None
    by_size: Dict[str, Optional[_Share]] = Field(default_factory=dict)
    by_class: Dict[str, Optional[_Share]] = Field(default_factory=dict)
    recorded: Optional[Accuracy]
    comparable: bool
    comparison: str
    stages: Dict[str, Figures]
    images_per_second: float
    unreadable: Tuple[str, ...] = ()


def validate(options: argparse.Namespace) -> ValidationReport:
    """Run the command.

    Args:
        options: ``model``, ``engine``, ``device``, ``preprocess``, ``chip``, ``precision``, ``batch``, ``io``,
            ``images``, ``annotations``, ``protocol``, ``limit``, ``report`` and ``detections``.

    Returns:
        What was found; it was printed, and written where ``report`` names a file.

    Raises:
        AnnotationError: The annotations cannot be used, or are for another model.
        ImageError: There is no folder of images, or none of the annotated images can be read and prepared.
        OptionError: There is no such protocol.
        InferenceError: The model or the engine failed, or a file cannot be written.
    """
    if options.protocol not in (None, *PROTOCOLS):
        raise OptionError(f"there is no protocol {options.protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    for file in (options.detections, options.report):
        if file is not None:
            check_writable(file)
    truth = read_annotations(options.annotations)
    truth = truth if options.limit is None else truth.first(options.limit)
    if not options.images.is_dir():
        raise ImageError(f"there is no folder {options.images} with the images", options.images)
    model = local_release(options.model)
    protocol = limits_of(read_release(model), options.protocol)
    rules = PROTOCOLS[protocol.name]
    with open_detector(
        model, options, conf=protocol.score_floor, top_k=protocol.top_k, one_class_a_cell=rules.one_class_a_cell
    ) as detector:
        positions = class_of_category(truth, detector.class_names)
        seen = look(detector, truth, options.images, positions, protocol)
        if not seen.found:
            raise ImageError(
                f"none of the {len(truth.images)} annotated images can be read and prepared", options.images
            )
        report = assess(truth, seen, detector.model, setting_of(detector, options.device), protocol)
    if options.detections is not None:
        write_whole(options.detections, json.dumps(coco_results(truth, seen.found)).encode() + b"\n")
    if options.report is not None:
        write_report(options.report, report)
    _print(report)
    return report


def assess(truth: Annotations, seen: Seen, model: ReleasedModel, setting: Setting, kept: Limits) -> ValidationReport:
    """Compute the accuracy, and compare it with the release's where that is allowed.

    Args:
        truth: The annotations.
        seen: What `look` found.
        model: The model.
        setting: What it was run on.
        kept: What was kept of the detections.
    """
    names = {image: name for image, name in truth.images.items() if image in seen.found}
    counted = truth._replace(images=names, boxes={image: truth.boxes[image] for image in names})
    more = breakdown(counted, seen.found, max_detections=kept.top_k)
    figures = more.whole
    protocol = Protocol(
        name=kept.name,
        dataset_digest=dataset_digest(truth.digest, [(name, seen.digests[image]) for image, name in names.items()]),
        images=len(names),
        score_floor=kept.score_floor,
        top_k=kept.top_k,
        metric=METRIC,
    )
    way = "" if setting.preprocess == HOST else f", with preprocessing by {setting.preprocess}"
    problem = _incomparable(protocol, model)
    recorded = model.chosen.accuracy
    if problem is None and recorded is not None and figures.ap is not None:
        # Rounded first: a difference of -1e-17 is none.
        difference = round(figures.ap - recorded.ap, 4) + 0.0
        comparison = f"AP {difference:+.4f} against the {recorded.ap:.4f} that the release records{way}"
    else:
        comparison = f"not to be compared with the release's numbers: {problem or 'nothing is annotated'}"
    return ValidationReport(
        setting=setting,
        protocol=protocol,
        ap=figures.ap,
        ap50=figures.ap50,
        ap75=more.ap75,
        by_size=more.by_size,
        by_class=more.by_class,
        recorded=recorded,
        comparable=problem is None and figures.ap is not None,
        comparison=comparison,
        stages=seen.timer.figures(),
        images_per_second=seen.timer.images_per_second(),
        unreadable=tuple(seen.unreadable),
    )


def coco_results(truth: Annotations, found: Dict[int, Detections]) -> List[Dict[str, Any]]:
    """The detections in COCO's results layout (cocodataset.org, "Results format"), with the ids of the annotations.

    Args:
        truth: Gives the category ids.
        found: Image id to what was found there; class ids are positions in ``truth.categories``.
    """
    results = []
    for image, one in found.items():
        boxes = one.boxes_xyxy.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        for box, score, position in zip(boxes.tolist(), one.scores.tolist(), one.class_ids.tolist()):
            category = truth.categories[position][0]
            results.append({"image_id": image, "category_id": category, "bbox": box, "score": score})
    return results


def limits_of(release: ReleaseRecord, name: Optional[str] = None) -> Limits:
    """The limits of the release's protocol; of another one, or where it has none, that protocol's usual ones.

    Args:
        release: The release.
        name: The protocol that is asked for; None takes the release's own, else ``coco``.
    """
    recorded = release.protocol
    if recorded is not None and name in (None, recorded.name) and recorded.name in PROTOCOLS:
        return limits(recorded.name, recorded.score_floor, recorded.top_k)
    return limits(name or "coco")


def _incomparable(protocol: Protocol, model: ReleasedModel) -> Optional[str]:
    """Why numbers must not be compared with the release's, or None where they may."""
    recorded = model.release.protocol
    if recorded is None or model.chosen.accuracy is None:
        return "it records none for this model"
    if (recorded.name, recorded.metric) != (protocol.name, protocol.metric):
        return f"it was measured by {recorded.name}, {recorded.metric}"
    if recorded.dataset_digest != protocol.dataset_digest:
        return f"it was measured on another data set ({recorded.images} images, {recorded.dataset_digest})"
    return None


def _print(report: ValidationReport) -> None:
    protocol = report.protocol
    shown = ["none" if value is None else f"{value:.4f}" for value in (report.ap, report.ap50)]
    kept = f"protocol {protocol.name}: scores from {protocol.score_floor:g}, best {protocol.top_k}"
    print(f"AP {shown[0]}, AP50 {shown[1]} on {protocol.images} images by {protocol.metric} ({kept})")
    print(f"data set {protocol.dataset_digest}")
    print(report.comparison)
    print("ms an image:")
    print(figures_text(report.stages))
    if report.unreadable:
        print(
            f"{len(report.unreadable)} images could not be read or prepared: {', '.join(report.unreadable[:10])}",
            file=sys.stderr,
        )
