"""Pydantic's errors told in the words of the settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from settings.errors import Problem
from settings.schema import KeyPath, Node, allowed, alternatives, children, find, nearest
from settings.toml_text import format_key, shown

Origins = Mapping[KeyPath, str]

DEFAULT = "default"
"""Origin of a value that no source gave."""

_NEEDED = {
    "int_type": "not a whole number",
    "int_from_float": "not a whole number",
    "float_type": "not a number",
    "bool_type": "not a truth value",
    "string_type": "not text",
    "path_type": "not a path",
    "tuple_type": "not a list",
    "model_type": "not a table",
    "model_attributes_type": "not a table",
    "dict_type": "not a table",
    "finite_number": "not a finite number",
    "string_pattern_mismatch": "not of the right form",
    "string_too_long": "too long",
}


def problem(error: ErrorDetails, root: Node, origins: Origins) -> Problem:
    """Tells one of pydantic's errors.

    Args:
        error: the error, located from the top of the settings.
        root: schema of all settings.
        origins: where each key's value came from.

    Returns:
        The problem, with what is allowed and, for a wrong name, the nearest right one.
    """
    path, tag = _without_tags(error["loc"], root)
    origin = origin_of(path, origins)
    node = find(root, path)
    key = format_key(path)
    if error["type"] == "missing":
        return Problem(key, "is missing", "", allowed(node) if node else "")
    if error["type"] == "extra_forbidden":
        return unknown(path, root, origin, tag)
    if error["type"].startswith("union_tag"):
        return _wrong_kind(error, key, origin)
    if error["type"] == "value_error":
        return Problem(key, str(error["ctx"]["error"]), origin, allowed(node) if node else "")
    return Problem(key, _what(error, node or {}), origin, allowed(node) if node else "")


def unknown(path: tuple[str | int, ...], root: Node, origin: str, kind: str = "") -> Problem:
    """Tells of a key that does not exist.

    Args:
        path: the key, unknown in its last name.
        root: schema of all settings.
        origin: where it was written.
        kind: the kind of source that the key's table describes, where it is one.

    Returns:
        The problem, with the nearest known key.
    """
    key, name = format_key(path), str(path[-1])
    parent = find(root, path[:-1]) or {}
    if kind and name in children(parent):
        kinds = [option for option in alternatives(parent) if name in option.get("properties", {})]
        names = " or ".join(f'"{option["properties"]["kind"]["const"]}"' for option in kinds)
        where = f"{format_key(path[:-1])}.kind = {names}"
        return Problem(key, f'is not a key of kind "{kind}"; it belongs to {where}', origin)
    if path == ("profile",):
        return Problem(key, "cannot be set; choose the profile with --profile", origin)
    if parent.get("type") == "array":
        return Problem(format_key(path[:-1]), "is a list and is set as a whole", origin, allowed(parent))
    if any(isinstance(part, int) for part in path):
        close = difflib.get_close_matches(name, children(parent), n=1)
        meant = format_key([*path[:-1], close[0]]) if close else ""
    else:
        found = nearest(tuple(str(part) for part in path), root)
        meant = format_key(found) if found else ""
    choice = "" if meant else ", ".join(name for name in children(parent) if name != "profile")
    return Problem(key, "is not known" + (f", did you mean {meant}?" if meant else ""), origin, choice)


def origin_of(path: tuple[str | int, ...], origins: Origins) -> str:
    """Says where a value came from.

    Args:
        path: a key, or a place inside a list, or a table.
        origins: where each key's value came from.

    Returns:
        The origin of the key, or of the list, or of what the table holds; empty where none gave one.
    """
    names = tuple(part for part in path if isinstance(part, str))
    for length in range(len(names), 0, -1):
        if names[:length] in origins:
            return "" if origins[names[:length]] == DEFAULT else origins[names[:length]]
    inside = [origin for key, origin in origins.items() if key[: len(names)] == names and origin != DEFAULT]
    return ", ".join(dict.fromkeys(inside))


def _without_tags(location: tuple[int | str, ...], root: Node) -> tuple[tuple[str | int, ...], str]:
    """Takes out the names of union members that pydantic puts into a location."""
    path: tuple[str | int, ...] = ()
    node, tag = root, ""
    for part in location:
        found = find(node, (part,))
        if found is None and "oneOf" in node and not tag:
            tag = str(part)
            continue
        path = (*path, part)
        node = found or {}
    return path, tag


def _wrong_kind(error: ErrorDetails, key: str, origin: str) -> Problem:
    kinds = [kind.strip(" '") for kind in str(error.get("ctx", {}).get("expected_tags", "")).split(",")]
    if error["type"] == "union_tag_not_found":
        return Problem(f"{key}.kind", "is missing", origin)
    given = str(error["ctx"]["tag"])
    return Problem(f"{key}.kind", _unknown_choice(given, kinds), origin, ", ".join(kinds))


def _what(error: ErrorDetails, node: Node) -> str:
    given: Any = error.get("input")
    text = shown(given)
    if error["type"] == "literal_error":
        return _unknown_choice(given, [str(choice) for choice in node.get("enum", [node.get("const")])])
    if error["type"] in ("too_short", "too_long"):
        return f"has {error['ctx']['actual_length']} items"
    if error["type"].startswith(("greater_than", "less_than", "multiple_of")):
        return f"{text} is out of range"
    return f"{text} is {_NEEDED[error['type']]}" if error["type"] in _NEEDED else f"{text}: {error['msg']}"


def _unknown_choice(given: object, choices: list[str]) -> str:
    close = difflib.get_close_matches(str(given).lower(), [choice.lower() for choice in choices], n=1)
    meant = next((choice for choice in choices if close and choice.lower() == close[0]), None)
    return f"{shown(given)} is not known" + (f", did you mean {meant}?" if meant else "")
