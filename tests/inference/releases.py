"""Making release folders for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Sequence, Tuple

from artifacts.digest import digest_bytes
from artifacts.release import PreprocessSpec, ReleaseRecord, TensorInfo, Variant
from artifacts.store import Blob

CLASS_NAMES = ("cat", "dog", "traffic light")
DIGEST = digest_bytes(b"")


def write_release(
    folder: Path,
    files: Dict[Variant, bytes],
    *,
    spec: PreprocessSpec,
    class_names: Sequence[str] = CLASS_NAMES,
    stride: int = 4,
    matching_scores: Sequence[Tuple[float, float]] = (),
) -> Path:
    """Write a release folder with these bmodels and return it."""
    entries = []
    for variant, data in files.items():
        path = folder / variant.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        given, made = shapes(variant, spec, len(class_names))
        entries.append(
            {
                "variant": variant,
                "blob": Blob(digest=digest_bytes(data), size=len(data)),
                "content_digest": DIGEST,
                "inputs": [TensorInfo(name="data", dtype=spec.dtype, shape=given)],
                "outputs": [TensorInfo(name="heads", dtype="float32", shape=made)],
                "device_memory": 0,
                "matching_scores": matching_scores,
            }
        )
    calibration = {
        "manifest": Blob(digest=DIGEST, size=0),
        "count": 1,
        "method": "kl",
        "table_digest": DIGEST,
    }
    record = ReleaseRecord.model_validate(
        {
            "name": "tiny",
            "version": "1",
            "class_names": class_names,
            "stride": stride,
            "network": "tiny",
            "preprocess": spec,
            "variants": entries,
            "calibration": calibration,
            "provenance": {
                "weights_digest": DIGEST,
                "toolchain": {"name": "tpu-mlir", "version": "1", "fingerprint": "x"},
            },
        }
    )
    (folder / "release.json").write_bytes(record.to_json())
    return folder


def shapes(variant: Variant, spec: PreprocessSpec, classes: int) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """Input and output shape of a variant."""
    given = (variant.batch, 3, spec.height, spec.width)
    return given, (variant.batch, classes + 4, spec.height // 4, spec.width // 4)
