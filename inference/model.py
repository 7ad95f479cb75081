"""Finding the model in a release: which of its files to run, and everything needed to run it."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from artifacts.bounded import read_bounded
from artifacts.digest import digest_file
from artifacts.errors import ArtifactError
from artifacts.release import MAX_RECORD_BYTES, PreprocessSpec, ReleaseRecord, Variant, VariantRecord
from artifacts.variant import IOS
from inference.errors import ModelError
from inference.preprocess import OUTPUT_STRIDE
from inference.wish import Wish

RELEASE_FILE = "release.json"

_PREFERRED_PRECISIONS = ("int8", "fp16", "fp32")

# The BM1688's simulator is 10 to 20 times faster than the other two.
_PREFERRED_CHIPS = ("BM1688", "BM1684X", "BM1684")


class ReleasedModel(NamedTuple):
    """One bmodel of a release, found and verified.

    Attributes:
        release: The release that it belongs to: class names, preprocess spec and the rest.
        chosen: The entry of this bmodel.
        path: The file.
        others: What would have fitted too, and is there.
    """

    release: ReleaseRecord
    chosen: VariantRecord
    path: Path
    others: Tuple[Variant, ...] = ()

    @property
    def variant(self) -> Variant:
        """Chip, precision, batch, cores and kind of input."""
        return self.chosen.variant

    def matching_score(self, score: float) -> float:
        """Find the score of this model that means what a score of the network in fp32 means.

        Quantization moves scores; the release says at which scores both found as many objects of the evaluation set.

        Args:
            score: Of the network in fp32, 0 to 1.

        Returns:
            The score of this model; between the pairs of the release in a straight line.

        Raises:
            ModelError: The release says nothing about this model's scores, or nothing about such a one.
        """
        pairs = self.chosen.matching_scores
        if not pairs:
            raise ModelError(
                f"the release does not say which scores of {self.variant.path} match those of fp32: it is older, or "
                "its accuracy was not measured, or on too few objects. Give the model's own score instead",
                self.path,
            )
        theirs, ours = zip(*pairs)
        if not theirs[0] <= score <= theirs[-1]:
            raise ModelError(
                f"the release says which scores of {self.variant.path} match fp32's from {theirs[0]:g} to "
                f"{theirs[-1]:g}, and {score:g} is not among them: too few objects were found there. Give the model's "
                "own score instead",
                self.path,
            )
        return float(np.interp(score, theirs, ours))

    @property
    def spec(self) -> PreprocessSpec:
        """How an image becomes this model's input tensor."""
        return self.release.preprocess.of(self.variant)


def find_model(
    model: Path,
    *,
    chip: Optional[str] = None,
    precision: Optional[str] = None,
    batch: Optional[int] = None,
    io: Optional[str] = None,
) -> ReleasedModel:
    """Choose a bmodel and verify its bytes against the release record.

    Of a folder, this is float before raw, then the file with the smallest batch; among those one
    core before two, int8 before fp16 before fp32, and the chip with the quickest simulator (BM1688,
    BM1684X, BM1684).

    Args:
        model: A release's folder, holding ``release.json``; or a ``.bmodel`` file anywhere below one.
        chip: Only a model for this chip, such as ``BM1684X``.
        precision: Only ``fp32``, ``fp16`` or ``int8``.
        batch: Only a model that takes so many images at once.
        io: Only ``float`` or ``raw``.

    Returns:
        The model.

    Raises:
        OptionError: There is no such chip, precision or io at all.
        ModelError: There is no release, it is damaged or of a newer generation, has no such model, or the file's
            bytes are not the published ones.
    """
    wish = Wish(chip, precision, batch, io=io)
    folder = _release_folder(model)
    release = _read_release(folder / RELEASE_FILE)
    fitting = [item for item in release.variants if wish.fits(item.variant)]
    if not model.is_dir():
        inside = model.absolute().relative_to(folder).as_posix()
        fitting = [item for item in fitting if item.variant.path == inside]
    if not fitting:
        listed = ", ".join(item.variant.path for item in release.variants)
        asked = str(wish) or model.name
        raise ModelError(f"release {release.name} {release.version} has no {asked}; it has {listed}", model)
    # A device fetches what it runs: its folder of the release may hold some of the models only.
    there = [item for item in fitting if (folder / item.variant.path).is_file()]
    if not there:
        here = [item.variant.path for item in release.variants if (folder / item.variant.path).is_file()]
        raise ModelError(
            f"{folder} does not hold {', '.join(item.variant.path for item in fitting)} of its release; it holds "
            f"{', '.join(here) or 'no model'}. Pull the wanted one (`python -m inference pull` with --chip, --precision"
            " and --batch), or the release again",
            model,
        )
    chosen = min(there, key=_preference)
    others = tuple(item.variant for item in there if item is not chosen)
    return ReleasedModel(release, chosen, _verified(folder / chosen.variant.path, chosen), others)


def read_release(model: Path) -> ReleaseRecord:
    """Read the record of a release, without looking at its models.

    Args:
        model: As for `find_model`.

    Raises:
        ModelError: There is no release, or its record is damaged or of a newer generation.
    """
    return _read_release(_release_folder(model) / RELEASE_FILE)


def _release_folder(model: Path) -> Path:
    """The folder of the release that a folder is, or that a file lies in."""
    if model.is_dir():
        if not (model / RELEASE_FILE).is_file():
            raise ModelError(f"{model} is no release: it holds no {RELEASE_FILE}. Give a release's own folder", model)
        return model.absolute()
    if not model.is_file():
        raise ModelError(f"there is no file or folder {model}. Give a release's folder or a .bmodel in one", model)
    if model.suffix != ".bmodel":
        raise ModelError(f"{model} is no .bmodel. Give a release's folder or a .bmodel in one", model)
    for folder in model.absolute().parents:
        if (folder / RELEASE_FILE).is_file():
            return folder
    raise ModelError(
        f"no folder above {model} holds a {RELEASE_FILE}: class names and preprocessing are unknown. "
        "Keep a bmodel inside its release",
        model,
    )


def _read_release(path: Path) -> ReleaseRecord:
    try:
        release = ReleaseRecord.from_json(read_bounded(path, MAX_RECORD_BYTES))
    except (OSError, ArtifactError) as error:
        raise ModelError(f"{path} cannot be used: {error}", path) from error
    if release.stride != OUTPUT_STRIDE:
        raise ModelError(f"{path} is for an output stride of {release.stride}; this program decodes 4", path)
    return release


def _preference(item: VariantRecord) -> Tuple[int, int, int, int, int]:
    variant = item.variant
    return (
        IOS.index(variant.io),
        variant.batch,
        variant.cores,
        _PREFERRED_PRECISIONS.index(variant.precision),
        _PREFERRED_CHIPS.index(variant.chip),
    )


def _verified(path: Path, chosen: VariantRecord) -> Path:
    """Hash the file: neither the vendor's tools nor its runtime notice changed weights."""
    problems: List[str] = []
    try:
        if path.stat().st_size != chosen.blob.size:
            problems.append(f"it has {path.stat().st_size} bytes instead of {chosen.blob.size}")
        elif digest_file(path) != chosen.blob.digest:
            problems.append(f"its digest is not {chosen.blob.digest}")
    except OSError as error:
        problems.append(str(error))
    if problems:
        raise ModelError(f"{path} is not the file that was published: {problems[0]}. Fetch the release again", path)
    return path
