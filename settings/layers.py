"""The layers that settings come from: a profile and what it extends, environment variables, `--set`."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from settings.errors import Problem
from settings.locations import resolve
from settings.problems import unknown
from settings.schema import KeyPath, Node, children, find, holds_locations, named_child, nearest, takes
from settings.toml_text import NotToml, format_key, parse_value, shown

PREFIX = "CENTERNET_"
# Read elsewhere: where caches lie, which Python makes the compiler's environment, what opens the signing key, where a
# worker has its checkout, and what a device reads.
OTHER_VARIABLES = frozenset(
    {
        "CENTERNET_CACHE",
        "CENTERNET_TOOLCHAIN_PYTHON",
        "CENTERNET_KEY_PASSPHRASE",
        "CENTERNET_CHECKOUT",
        "CENTERNET_DEVICE_STORE",
        "CENTERNET_KEYS",
        "CENTERNET_REGISTRY_USER",
        "CENTERNET_REGISTRY_PASSWORD",
        "CENTERNET_REGISTRY_CA",
        "CENTERNET_REGISTRY_PLAIN_HTTP",
    }
)

NONE = "none"

# What TOML promises. Hexadecimal numbers of any length pass tomllib, but cannot be shown in decimal.
_TOML_BITS = 64


@dataclass
class Layer:
    """Values of one or more sources, flat.

    Attributes:
        values: value of each key; a list of tables is one value.
        origins: where each value came from.
    """

    values: dict[KeyPath, object] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def put(self, path: KeyPath, value: object, origin: str) -> None:
        """Sets a key; a value takes the place of a table, and a table that of a value."""
        rivals = [key for key in self.values if key[: len(path)] == path or path[: len(key)] == key]
        for key in rivals:
            del self.values[key], self.origins[key]
        self.values[path], self.origins[path] = value, origin

    def lay_over(self, upper: Layer) -> None:
        """Lets another layer's values win over this one's.

        A source of another kind takes the place of the whole source: its old keys would mean nothing.
        """
        for path, value in upper.values.items():
            if path[-1] == "kind" and path in self.values and self.values[path] != value:
                for key in [key for key in self.values if key[: len(path) - 1] == path[:-1]]:
                    del self.values[key], self.origins[key]
        for path, value in upper.values.items():
            self.put(path, value, upper.origins[path])

    def nested(self) -> dict[str, object]:
        """The values as tables in tables."""
        tables: dict[str, object] = {}
        for path, value in self.values.items():
            table = tables
            for name in path[:-1]:
                # put() keeps values and tables apart, so that what stands here is a table
                table = cast("dict[str, object]", table.setdefault(name, {}))
            table[path[-1]] = value
        return tables


@dataclass(frozen=True)
class Reader:
    """Reads sources into layers; what is wrong is collected.

    Attributes:
        root: schema of all settings.
        home: the user's home folder, for `~/`.
        problems: everything found wrong so far.
    """

    root: Node
    home: str | None
    problems: list[Problem]

    def tables(self, tables: Mapping[str, object], base: Path, origin: str) -> Layer:
        """Reads the content of a profile file.

        Args:
            tables: what tomllib read.
            base: folder that relative paths start from.
            origin: how to name the file.

        Returns:
            The known keys; the unknown ones are among the problems.
        """
        layer = Layer()
        for path, value in _flat(tables):
            self._put(layer, path, value, base, origin)
        return layer

    def environment(self, environ: Mapping[str, str], base: Path) -> Layer:
        """Reads the variables that begin with `CENTERNET_`, double underscores for dots.

        Args:
            environ: variable -> value.
            base: folder that relative paths start from.

        Returns:
            The known keys; the unknown ones are among the problems.
        """
        layer = Layer()
        for name in sorted(environ):
            if not name.startswith(PREFIX) or name in OTHER_VARIABLES:
                continue
            origin = f"environment variable {name}"
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
            if name != variable(path):
                self.problems.append(Problem(name, "is not in capital letters", "", variable(path)))
            elif find(self.root, path) is None:
                meant = nearest(path, self.root)
                what = "is not the name of a setting" + (f", did you mean {variable(meant)}?" if meant else "")
                self.problems.append(Problem(name, what, "the environment"))
            else:
                self._put_text(layer, path, environ[name], base, origin)
        return layer

    def overrides(self, overrides: Sequence[str], base: Path) -> Layer:
        """Reads what the command line sets, `KEY=VALUE` each; of two for one key the last wins.

        Args:
            overrides: texts such as `calibration.count=100`.
            base: folder that relative paths start from.

        Returns:
            The known keys; the unknown ones are among the problems.
        """
        layer = Layer()
        for override in overrides:
            name, sign, text = override.partition("=")
            path = tuple(part.strip() for part in name.split("."))
            if not sign or not all(path):
                self.problems.append(Problem(shown(override), "is not KEY=VALUE", "--set", "KEY=VALUE"))
            else:
                self._put_text(layer, path, text, base, f"--set {format_key(path)}")
        return layer

    def _put_text(self, layer: Layer, path: KeyPath, text: str, base: Path, origin: str) -> None:
        try:
            value = value_from_text(text, find(self.root, path) or {})
        except ValueError as error:
            self.problems.append(Problem(format_key(path), str(error), origin))
            return
        for key, item in _flat({path[-1]: value}, path[:-1]):
            self._put(layer, key, item, base, origin)

    def _put(self, layer: Layer, path: KeyPath, value: object, base: Path, origin: str) -> None:
        node = find(self.root, path)
        if node is None or path == ("profile",):
            end = next((n for n in range(1, len(path)) if find(self.root, path[:n]) is None), len(path))
            problem = unknown(path[:end], self.root, origin)
            if problem not in self.problems:
                self.problems.append(problem)
            return
        if value == {} and (children(node) or named_child(node)):
            return
        if value == NONE and takes(node, "null"):
            value = None
        elif holds_locations(node):
            value = _located(value, base, self.home)
        if fault := next(filter(None, map(_fault, _items(value))), ""):
            self.problems.append(Problem(format_key(path), fault, origin))
        else:
            layer.put(path, value, origin)


def variable(path: KeyPath) -> str:
    """Name of the environment variable that sets a key."""
    return PREFIX + "__".join(path).upper()


def value_from_text(text: str, node: Node) -> object:
    """Reads a value that was given as text; the key's type decides where TOML and plain text differ.

    Args:
        text: from a command line or an environment variable.
        node: schema of the key, empty for an unknown key.

    Returns:
        The TOML value; the text itself where text is allowed or where it is no TOML; a list of one for a text that
        stands where a list of texts is allowed.

    Raises:
        ValueError: the text is not UTF-8, or begins like a list or a table and does not end like one.
    """
    text = text.strip()
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("is not valid UTF-8")
    try:
        value = parse_value(text)
    except NotToml as error:
        if text[:1] in ("[", "{") and not takes(node, "string"):
            raise ValueError(f"{shown(text)} is not TOML (text inside brackets needs quotes): {error}") from error
        value = text
    if takes(node, "string") and not isinstance(value, str):
        return text
    if takes(node, "array") and takes(node.get("items", {}), "string") and not isinstance(value, list):
        return [value if isinstance(value, str) else text]
    return value


def _flat(tables: Mapping[str, object], path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    for name, value in tables.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, (*path, name))
        else:
            yield (*path, name), value


def _items(value: object) -> Iterator[object]:
    """A value and everything inside it."""
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inside:
        yield from _items(item)


def _fault(item: object) -> str:
    """What keeps a TOML value from being a setting of any kind."""
    if isinstance(item, (datetime.date, datetime.time)):
        return f"{item} is a date or a time; quote it to mean text"
    if isinstance(item, int) and item.bit_length() > _TOML_BITS:
        return "is a number of more than 64 bits"
    return ""


def _located(value: object, base: Path, home: str | None) -> object:
    if isinstance(value, str):
        return resolve(value, base, home)
    if isinstance(value, list):
        return [_located(item, base, home) for item in value]
    return value
