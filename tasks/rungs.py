"""One rung of the loss ladder: what a network finds on the evaluation set, and how far its output is from another's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifacts.protocols import PROTOCOLS
from artifacts.release import PreprocessSpec, Variant
from artifacts.store import Blob, ContentStore
from inference.decode import Detections, decode
from inference.errors import ImageError
from inference.images import read_image
from inference.preprocess import preprocess
from inference.protocols import by_protocol
from settings.sections import Judging
from tasks.accuracy import Accuracy, average_precision
from tasks.coco import Dataset, parse_dataset
from tasks.distance import HeadDistances
from tasks.errors import BadAnnotations, BadImage, ResultRefused
from tasks.progress import counted
from tasks.records import HeadDistance, ImageSet, Measured, StoredImage
from tasks.worst_images import worst_images

Tensor = NDArray[np.float32]
Infer = Callable[[Tensor], Tensor]
"""A network as a function from input tensor [N, C, H, W] to head tensor [N, classes + 4, h, w], both float32."""

DISTANCE_IMAGES = 32
SAMPLE_IMAGES = 8
WORST_IMAGES = 5

_SIZES_AND_OFFSETS = 4


def measure(
    rung: str,
    infer: Infer,
    images: ImageSet,
    *,
    spec: PreprocessSpec,
    judging: Judging,
    content: ContentStore,
    torchscript: Infer | None = None,
    reference: Measured | None = None,
    variant: Variant | None = None,
) -> Measured:
    """Measure a network on the evaluation set.

    Args:
        rung: What to call it.
        infer: The network.
        images: The evaluation set.
        spec: How an image becomes the input tensor.
        judging: How accuracy is measured, and whether it means anything; it is left out where it does not.
        content: Where bytes are kept.
        torchscript: What the distances are measured against; None for no distances.
        reference: What was measured of the TorchScript, for the images that lose most; None for none.
        variant: Chip and precision, where it has one.

    Returns:
        What was measured.

    Raises:
        BadAnnotations: The set has no annotations, or other classes than the network.
        BadImage: An image cannot be used.
        ResultRefused: The network gives NaN or infinity.
    """
    if images.annotations is None:
        raise BadAnnotations("the evaluation set", ["it has no annotations: name them in its source"], 1)
    dataset = parse_dataset(content.verified(images.annotations).read_bytes(), "the evaluation set")
    seen, protocol = _Seen(rung, len(dataset.categories)), judging.protocol
    for image in counted(images.images, f"evaluate {rung}"):
        pixels = _pixels(image, content)
        batch = preprocess(pixels, spec)[np.newaxis]
        heads = seen.checked(infer(batch), image.name)
        if torchscript is not None and seen.distances.images < DISTANCE_IMAGES:
            seen.distances.add(torchscript(batch), heads)
        if len(seen.samples) < SAMPLE_IMAGES:
            seen.samples[image.name] = heads[0]
        size = (int(pixels.shape[0]), int(pixels.shape[1]))
        found = decode(
            heads,
            [size],
            spec=spec,
            conf=protocol.score_floor,
            top_k=protocol.top_k,
            one_class_a_cell=PROTOCOLS[protocol.name].one_class_a_cell,
        )
        seen.detections[image.name] = by_protocol(protocol, found[0])
    by_id = _of_dataset(dataset, seen.detections)
    accuracy = average_precision(dataset, by_id, max_detections=protocol.top_k) if judging.meaningful else None
    return Measured(
        rung=rung,
        variant=variant,
        images=len(seen.detections),
        **_figures(accuracy),
        distances=seen.head_distances(),
        distance_images=seen.distances.images,
        detections=content.put_bytes(_detections_json(seen.detections)),
        samples=content.put_bytes(_samples_archive(seen.samples)),
        worst=_worst(dataset, reference, by_id, content),
    )


def input_batch(images: tuple[StoredImage, ...], spec: PreprocessSpec, content: ContentStore) -> Tensor:
    """Make the input tensor [N, C, H, W] of some images.

    Raises:
        BadImage: One of them cannot be used.
    """
    return np.stack([preprocess(_pixels(image, content), spec) for image in images])


def single_output(outputs: Mapping[str, NDArray[np.generic]]) -> Tensor:
    """Return the head tensor among a model's outputs.

    Raises:
        ResultRefused: There is not exactly one.
    """
    if len(outputs) != 1:
        raise ResultRefused(f"A model must have the head tensor as its one output, this one has {', '.join(outputs)}.")
    return np.asarray(next(iter(outputs.values())), dtype=np.float32)


def load_samples(content: ContentStore, samples: Blob) -> dict[str, Tensor]:
    """Read the head tensors [classes + 4, h, w] of the first images, by image name."""
    with np.load(io.BytesIO(content.verified(samples).read_bytes())) as archive:
        return {name: archive[name] for name in archive.files}


def load_detections(content: ContentStore, blob: Blob) -> dict[str, Detections]:
    """Read the detections that were measured, by image name."""
    document = json.loads(content.verified(blob).read_bytes())
    return {
        name: Detections(
            boxes_xyxy=np.array(entry["boxes"], dtype=np.float32).reshape(-1, 4),
            scores=np.array(entry["scores"], dtype=np.float32),
            class_ids=np.array(entry["classes"], dtype=np.int32),
        )
        for name, entry in document.items()
    }


@dataclass
class _Seen:
    """What came out of a network so far."""

    rung: str
    categories: int
    distances: HeadDistances = field(default_factory=HeadDistances)
    detections: dict[str, Detections] = field(default_factory=dict)
    samples: dict[str, Tensor] = field(default_factory=dict)

    def checked(self, heads: Tensor, image: str) -> Tensor:
        classes = heads.shape[1] - _SIZES_AND_OFFSETS
        if self.categories > classes:
            problem = f"it has {self.categories} categories, the network finds {classes} classes"
            raise BadAnnotations("the evaluation set", [problem], 1)
        if not np.isfinite(heads).all():
            bad = heads.size - int(np.isfinite(heads).sum())
            raise ResultRefused(
                f"{self.rung}: {bad} of the {heads.size} values of the output for {image} are NaN or infinite. The "
                "numbers left the range of this precision: take the variant out of the matrix, or keep layers in float."
            )
        return heads

    def head_distances(self) -> dict[str, HeadDistance]:
        if not self.distances.images:
            return {}
        return {head: HeadDistance(**far.model_dump()) for head, far in self.distances.distances().items()}


def _figures(accuracy: Accuracy | None) -> dict[str, Any]:
    if accuracy is None or accuracy.ap is None:
        return {"ap": None, "ap50": None, "ap75": None, "by_size": {}, "by_class": {}}
    by_size = {"small": accuracy.ap_small, "medium": accuracy.ap_medium, "large": accuracy.ap_large}
    by_class = accuracy.per_class
    return {"ap": accuracy.ap, "ap50": accuracy.ap50, "ap75": accuracy.ap75, "by_size": by_size, "by_class": by_class}


def _pixels(image: StoredImage, content: ContentStore) -> NDArray[np.uint8]:
    try:
        return read_image(content.verified(image.blob))
    except ImageError as error:
        raise BadImage(image.name, "unreadable", f"The image {image.name} cannot be used: {error}") from error


def by_image_id(
    detections: Mapping[str, Detections], names: Mapping[int, str], categories: int
) -> dict[int, Detections]:
    """Key detections by image id, without classes that the data set does not name: it holds no truth about those.

    Args:
        detections: By file name.
        names: File name of each image id.
        categories: How many classes the data set names.
    """
    result = {}
    for image, name in names.items():
        found = detections[name]
        kept = found.class_ids < categories
        result[image] = Detections(found.boxes_xyxy[kept], found.scores[kept], found.class_ids[kept])
    return result


def _of_dataset(dataset: Dataset, detections: Mapping[str, Detections]) -> dict[int, Detections]:
    names = {image.id: image.file_name for image in dataset.images}
    return by_image_id(detections, names, len(dataset.categories))


def _worst(
    dataset: Dataset, reference: Measured | None, found: Mapping[int, Detections], content: ContentStore
) -> tuple[str, ...]:
    if reference is None:
        return ()
    before = _of_dataset(dataset, load_detections(content, reference.detections))
    return tuple(loss.file_name for loss in worst_images(dataset, before, found, WORST_IMAGES))


def _detections_json(detections: Mapping[str, Detections]) -> bytes:
    document = {
        name: {"boxes": found.boxes_xyxy.tolist(), "scores": found.scores.tolist(), "classes": found.class_ids.tolist()}
        for name, found in sorted(detections.items())
    }
    return json.dumps(document).encode()


def _samples_archive(samples: Mapping[str, Tensor]) -> bytes:
    buffer = io.BytesIO()
    # np.savez stamps its members with a fixed time, so equal tensors give equal bytes.
    np.savez_compressed(buffer, **samples)  # type: ignore[arg-type]
    return buffer.getvalue()
