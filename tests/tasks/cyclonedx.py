"""CycloneDX's own schema of a bill of materials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def problems(data: bytes) -> list[str]:
    """What the schema of CycloneDX 1.6 says against a document; the test is skipped where nobody has the schema."""
    schema = pytest.importorskip("cyclonedx.schema", reason="cyclonedx-python-lib is not installed")
    import jsonschema
    from referencing import Registry, Resource

    folder = Path(schema.__file__).parent / "_res"
    parts = {name: json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_bytes()) for name in ("spdx", "jsf-0.82")}
    registry = Registry().with_resources(
        [(one["$id"], Resource.from_contents(one)) for one in parts.values()]
        + [(f"{name}.schema.json", Resource.from_contents(one)) for name, one in parts.items()]
    )
    whole = json.loads((folder / "bom-1.6.SNAPSHOT.schema.json").read_bytes())
    checker = jsonschema.Draft7Validator(whole, registry=registry)
    return [
        f"{'/'.join(map(str, one.absolute_path))}: {one.message[:200]}" for one in checker.iter_errors(json.loads(data))
    ]
