"""Reading the settings: a profile, then the environment, then the command line, all problems told together."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from artifacts.bounded import read_bounded
from settings.errors import Problem, SettingsError
from settings.layers import Layer, Reader
from settings.locations import PROJECT, resolve
from settings.model import Settings, disagreements, schema
from settings.problems import DEFAULT, origin_of, problem
from settings.schema import KeyPath, allowed, defaults, find, holds_locations
from settings.toml_text import format_key, format_value, parse_document, shown

PROFILES = PROJECT / "settings" / "profiles"
MAX_PROFILE_BYTES = 1 << 18

_FILE = "a path that ends in .toml"


def known_profiles() -> tuple[str, ...]:
    """Names of the profiles that ship with the project.

    Returns:
        The names, sorted.
    """
    return tuple(sorted(path.stem for path in PROFILES.glob("*.toml")))


def load_settings(
    profile: str | Path = "sample", *, overrides: Sequence[str] = (), environ: Mapping[str, str]
) -> Settings:
    """Reads the settings of a build; nothing but the profile files and the arguments is looked at.

    Args:
        profile: a shipped profile's name, or a path that ends in .toml.
        overrides: what the command line sets, `KEY=VALUE` each; wins over everything.
        environ: environment variables; `CENTERNET_A__B` sets `a.b` and wins over the profile.

    Returns:
        The settings, every path absolute, knowing where each value came from.

    Raises:
        SettingsError: anything is wrong; it holds every problem found.
    """
    here, home = Path.cwd(), environ.get("HOME")
    reader = Reader(schema(), home, [])
    layer = _defaults(here)
    readable = _read_profile(layer, profile, reader, here, ())
    layer.lay_over(reader.environment(environ, here))
    layer.lay_over(reader.overrides(overrides, here))
    parts, problems = _validated(layer)
    if not readable:
        # What a profile would have given is not also reported as missing.
        problems = [found for found in problems if found.origin]
    if reader.problems or problems:
        raise SettingsError([*reader.problems, *problems])
    return Settings(profile=_name(profile), **parts).with_origins(layer.origins)


def _name(profile: str | Path) -> str:
    return Path(profile).name


def _defaults(here: Path) -> Layer:
    """The lowest layer: with it, setting one key of a table keeps the defaults of the others."""
    layer = Layer()
    for path, value in defaults(schema()):
        is_path = isinstance(value, str) and holds_locations(find(schema(), path) or {})
        layer.put(path, resolve(str(value), here) if is_path else value, DEFAULT)
    return layer


def _read_profile(layer: Layer, profile: str | Path, reader: Reader, base: Path, chain: tuple[str, ...]) -> bool:
    """Lays a profile, and before it what it extends, over a layer; False where a file could not be read."""
    is_file = (isinstance(profile, Path) or profile.endswith(".toml")) and "\0" not in str(profile)
    path = Path(resolve(str(profile), base, reader.home)) if is_file else PROFILES / f"{profile}.toml"
    origin = f"profile {format_value(str(profile))[1:-1]}"
    if not is_file and profile not in known_profiles():
        reader.problems.append(_unknown_profile(str(profile)))
        return False
    if os.path.realpath(path) in chain:
        reader.problems.append(Problem("extends", "goes round in a circle", origin))
        return False
    if (tables := _parsed(path, reader.problems)) is None:
        return False
    parent = tables.pop("extends", None)
    readable = True
    if parent is not None and not isinstance(parent, str):
        reader.problems.append(
            Problem("extends", f"{shown(parent)} is not text", origin, f"a profile's name, or {_FILE}")
        )
        readable = False
    elif parent is not None:
        readable = _read_profile(
            layer, parent, reader, path.parent if is_file else PROFILES, (*chain, os.path.realpath(path))
        )
    layer.lay_over(reader.tables(tables, path.parent if is_file else Path.cwd(), origin))
    return readable


def _parsed(path: Path, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        return parse_document(read_bounded(path, MAX_PROFILE_BYTES).decode("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        problems.append(Problem("profile", f"{format_value(str(path))} cannot be read: {reason}"))
    return None


def _unknown_profile(name: str) -> Problem:
    known = known_profiles()
    close = difflib.get_close_matches(Path(name).name, known, n=1)
    hint = f", did you mean {close[0]}?" if close else ""
    return Problem("profile", f"there is no {shown(name)}{hint}", "", f"{', '.join(known)}, or {_FILE}")


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(Settings.model_fields[name].rebuild_annotation())


def _validated(layer: Layer) -> tuple[dict[str, Any], list[Problem]]:
    """Makes each part, so that one part's faults hide no other's."""
    values, parts, problems = layer.nested(), dict[str, Any](), list[Problem]()
    for name, node in schema()["properties"].items():
        if name == "profile":
            continue
        if name not in values and "properties" not in node:
            problems.append(Problem(name, "is missing", "", allowed(node)))
            continue
        given = values.get(name, {})
        try:
            # JSON, because there a list is a tuple and a text a path, and all else is strict.
            parts[name] = _adapter(name).validate_json(json.dumps(given), strict=True)
        except ValidationError as error:
            problems += _told(error, name, layer.origins)
    for path, what in disagreements(parts):
        problems.append(Problem(format_key(path), what, origin_of(path, layer.origins)))
    return parts, problems


def _told(error: ValidationError, part: str, origins: Mapping[KeyPath, str]) -> list[Problem]:
    details = [cast(ErrorDetails, {**found, "loc": (part, *found["loc"])}) for found in error.errors(include_url=False)]
    places = [found["loc"] for found in details]
    # Pydantic counts the items of a list without the faulty ones, and so calls a list of faulty items too short.
    return [
        problem(found, schema(), origins)
        for found in details
        if found["type"] != "too_short" or sum(place[: len(found["loc"])] == found["loc"] for place in places) == 1
    ]
