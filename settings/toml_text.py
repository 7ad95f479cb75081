"""Values as TOML text: reading one from an environment variable or a command line, writing one on one line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from settings.locations import scrubbed

_BREAKING = re.compile(r"[\x7f-\x9f\u2028\u2029]")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


MAX_DEPTH = 32


class NotToml(ValueError):
    """A text is not one TOML value."""


def parse_document(text: str) -> dict[str, Any]:
    """Reads a TOML document.

    Args:
        text: the document.

    Returns:
        The tables as tomllib reads them.

    Raises:
        ValueError: the text is no TOML, or has tables and lists more than MAX_DEPTH deep, which no setting has and
            whatever walks through them would stumble over.
    """
    try:
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from error
    waiting: list[tuple[object, int]] = [(tables, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(value, (dict, list)):
            waiting += [(item, depth + 1) for item in (value.values() if isinstance(value, dict) else value)]
    return tables


def parse_value(text: str) -> object:
    """Reads one TOML value.

    Args:
        text: a value as it stands right of the equals sign, such as `100`, `true`, `[1, 4]` or `"text"`.

    Returns:
        The value as tomllib reads it.

    Raises:
        NotToml: the text is not exactly one value.
    """
    try:
        table = parse_document(f"value = {text}\n")
    except ValueError as error:  # a number of thousands of digits is a plain ValueError
        raise NotToml(str(error)) from error
    # A line break in the text could otherwise smuggle in further keys.
    if list(table) != ["value"] or "\n" in text.strip():
        raise NotToml("more than one value")
    return table["value"]


def format_value(value: object) -> str:
    """Writes a value as TOML on one line.

    Args:
        value: text, number, truth value, None, or lists and mappings of those. TOML has no null: None is "none".

    Returns:
        Text that `parse_value` reads back to the same value.
    """
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{format_key([str(key)])} = {format_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    # JSON's escapes are TOML's, except that TOML also wants DEL escaped; the others would break the line in a terminal.
    text = _BREAKING.sub(lambda found: f"\\u{ord(found[0]):04X}", json.dumps(str(value), ensure_ascii=False))
    # An undecodable byte of a file name or a variable must not keep the message from being printed.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def format_key(parts: Sequence[str | int]) -> str:
    """Writes a key path in dotted form; positions in lists as `[0]`, unusual names in quotes.

    Args:
        parts: names and list positions from the outside in.

    Returns:
        For example `calibration.count` or `matrix[0].chip`.
    """
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE_KEY.fullmatch(part) else format_value(part)
            text += f".{name}" if text else name
    return text


def shown(value: object, limit: int = 80) -> str:
    """A value as it is shown in a message: one line, cut where it is long.

    Args:
        value: anything that a settings source can give.
        limit: longest text, characters.

    Returns:
        The value as TOML, or its beginning.
    """
    text = scrubbed(format_value(value))
    return text if len(text) <= limit else text[: limit - 3] + "..."
