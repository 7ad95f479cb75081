"""What the cache key of a step is made from, and what changed since last time. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

from artifacts.digest import canonical_json, digest_bytes, hex_of
from artifacts.release import Variant
from artifacts.store import Blob
from settings.sections import TimeoutSettings
from tasks.attempts import Label
from tasks.errors import KeyFailure
from tasks.records import Evidence
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace

Fact = str | int | float | bool | None
Fields = dict[str, Fact]

# Where the work is done, how long it may take, how it went and what it is called: no facts about the result.
_NO_FACTS = (Workspace, TimeoutSettings, Evidence, Label)


def key_fields(name: str, version: int, arguments: Mapping[str, Any]) -> Fields:
    """Collect what a step's result depends on, flat, one entry a fact.

    Args:
        name: The step's name.
        version: The step's own version, raised when its code starts to give another result.
        arguments: Its arguments.

    Returns:
        Dotted name to fact. A blob goes by its digest, a toolchain by its fingerprint.

    Raises:
        KeyFailure: An argument has no form in a key.
    """
    fields: Fields = {"step": name, "version": version}
    for argument, value in arguments.items():
        fields.update(_facts(argument, value))
    return fields


def key_of(fields: Fields) -> str:
    """Return the cache key: the step's name and a full-length digest of the fields."""
    return f"{fields['step']}-{hex_of(digest_bytes(canonical_json(fields)))}"


def changes(before: Fields | None, after: Fields) -> tuple[str, ...]:
    """Name the facts that differ between two sets of fields.

    Args:
        before: Those of the last time; None where there was none.
        after: Those of now.

    Returns:
        Dotted names, sorted. Empty where nothing differs or there is no last time.
    """
    if before is None:
        return ()
    return tuple(sorted(name for name in {*before, *after} if before.get(name, ...) != after.get(name, ...)))


def _facts(path: str, value: Any) -> Iterator[tuple[str, Fact]]:
    match value:
        case _ if isinstance(value, _NO_FACTS):
            return
        case Toolchain():
            yield path, f"{value.name} {value.version} {value.fingerprint}"
        case Blob():
            yield path, value.digest
        case Enum():
            yield path, value.value
        case None | str() | bool() | int():
            yield path, value
        case float() if math.isfinite(value):
            yield path, value
        case Variant():
            # As it is written: a field that says what every variant once was is left out.
            yield from _members(path, value.model_dump(mode="json"))
        case BaseModel():
            yield from _members(path, {name: getattr(value, name) for name in type(value).model_fields})
        case Mapping() if all(isinstance(name, str) for name in value):
            yield from _members(path, value)
        case tuple() | list():
            yield f"{path}.length", len(value)
            for index, item in enumerate(value):
                yield from _facts(f"{path}[{index}]", item)
        case _:
            raise KeyFailure(
                f"The cache key cannot be made: {path} is a {type(value).__name__}, which has no stable form. Pass a "
                "record, a part of the settings or a plain value; bytes and files go by digest."
            )


def _members(path: str, members: Mapping[str, Any]) -> Iterator[tuple[str, Fact]]:
    for name, value in members.items():
        yield from _facts(f"{path}.{name}", value)
