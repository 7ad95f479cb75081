"""Reading versioned JSON records: what they all check before their own fields, and what they say of a wrong one."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping

from pydantic import ValidationError

from artifacts.digest import canonical_json, digest_bytes
from artifacts.errors import BadRecord, NewerSchema
from artifacts.strict_json import decoded

CHECK = "check"
"""Member of a record that holds the digest of the rest of it."""

_MAX_PROBLEMS = 10
_MOST_TOLD = 1000


def checked_json(value: Mapping[str, Any]) -> bytes:
    """Write a record with a digest of itself: a flipped bit may leave good JSON that says something else."""
    return canonical_json({**value, CHECK: digest_bytes(canonical_json(value))})


def check_itself(value: Mapping[str, Any]) -> None:
    """Compare a record with the digest in it; an older program wrote none.

    Raises:
        BadRecord: It is not what was written.
    """
    rest = {name: item for name, item in value.items() if name != CHECK}
    if CHECK in value and value[CHECK] != digest_bytes(canonical_json(rest)):
        raise BadRecord("it is not what was written: the digest in it is that of something else")


def read_versioned(data: bytes, supported: str, max_bytes: int) -> Dict[str, Any]:
    """Decode a JSON object whose ``schema_version`` this program understands.

    The version comes before the fields: those of a newer generation may have another meaning.

    Args:
        data: UTF-8 JSON.
        supported: The version that this program writes, ``<major>.<minor>``; any minor of its major is understood.
        max_bytes: The most bytes to accept.

    Raises:
        NewerSchema: It has a newer major number.
        BadRecord: It is too large, no JSON object, or has no version.
    """
    if len(data) > max_bytes:
        raise BadRecord(f"it has {len(data)} bytes, more than {max_bytes}")
    try:
        value = decoded(data)
    except ValueError as error:
        raise BadRecord(f"it is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise BadRecord("it is JSON, but not an object")
    found = str(value.get("schema_version"))
    match = re.fullmatch(r"(\d{1,6})\.(\d{1,6})", found)
    if match is None:
        raise BadRecord(f"its schema_version is {found[:40]!r}, not a number like {supported}")
    if int(match[1]) > int(supported.split(".", maxsplit=1)[0]):
        raise NewerSchema(found, supported)
    return value


def problems(error: ValidationError) -> str:
    """Tell what is wrong with a record's fields, in one line."""
    # Each problem as pydantic tells it takes a kilobyte.
    if error.error_count() > _MOST_TOLD:
        return f"{error.error_count()} fields are wrong"
    told: List[str] = [
        ": ".join(filter(None, (".".join(map(str, item["loc"])), item["msg"]))) for item in error.errors()
    ]
    more = f"; and {len(told) - _MAX_PROBLEMS} more" if len(told) > _MAX_PROBLEMS else ""
    return "; ".join(told[:_MAX_PROBLEMS]) + more
