"""The settings' own schema: which keys there are, what each allows, which is nearest to a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, cast

Node = dict[str, Any]
"""One node of a JSON schema (draft 2020-12) whose references have been put in place."""

KeyPath = tuple[str, ...]


def inlined(schema: Node) -> Node:
    """Puts every definition in the place that refers to it.

    Args:
        schema: a schema as pydantic makes it, with its `$defs`.

    Returns:
        The same schema without references.
    """
    definitions = schema.get("$defs", {})

    def expand(node: object) -> Any:
        if isinstance(node, list):
            return [expand(item) for item in node]
        if not isinstance(node, dict):
            return node
        rest = {key: expand(value) for key, value in node.items() if key not in ("$ref", "$defs", "discriminator")}
        if "$ref" not in node:
            return rest
        return {**expand(definitions[node["$ref"].rpartition("/")[2]]), **rest}

    return cast(Node, expand(schema))


def alternatives(node: Node) -> list[Node]:
    """The schemas of which a value may meet any: those of a union, or the node alone."""
    return cast(list[Node], node.get("anyOf") or node.get("oneOf") or [node])


def children(node: Node) -> dict[str, Node]:
    """The keys of a table, or of all tables that may stand here."""
    return {key: child for option in alternatives(node) for key, child in option.get("properties", {}).items()}


def named_child(node: Node) -> Node | None:
    """The schema of each value where a table's keys are names of one's own choice, None for every other node."""
    child = node.get("additionalProperties")
    return child if isinstance(child, dict) else None


def find(node: Node, path: Sequence[str | int]) -> Node | None:
    """Looks up what may stand at a path.

    Args:
        node: where the path begins.
        path: names and list positions, from the outside in.

    Returns:
        The schema there, None where no such key exists.
    """
    for part in path:
        found = node.get("items") if isinstance(part, int) else children(node).get(part) or named_child(node)
        if found is None:
            return None
        node = found
    return node


def leaves(node: Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
    """Goes through all keys that hold a value, not a table.

    Args:
        node: where to begin.
        path: path of that node.

    Yields:
        Path and schema of each.
    """
    for name, child in children(node).items():
        if children(child):
            yield from leaves(child, (*path, name))
        else:
            yield (*path, name), child


def defaults(node: Node, given: object = None, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Goes through all keys that have a default, whether their own or that of a table around them.

    Sources are left out: which of their keys there are depends on their kind.

    Args:
        node: where to begin.
        given: default of the table there.
        path: path of that node.

    Yields:
        Path and default of each, as JSON values.
    """
    outer = given if isinstance(given, dict) else {}
    for name, child in node.get("properties", {}).items():
        has_default = name in outer or "default" in child
        default = outer.get(name, child.get("default"))
        if "properties" in child:
            yield from defaults(child, default, (*path, name))
        elif named_child(child) is not None and isinstance(default, dict):
            for own, table in default.items():
                yield from (((*path, name, own, key), value) for key, value in table.items())
        elif has_default:
            yield (*path, name), default


def takes(node: Node, kind: str) -> bool:
    """Whether a JSON type (`string`, `null`, ...) is allowed here."""
    return any(option.get("type") == kind for option in alternatives(node))


def holds_locations(node: Node) -> bool:
    """Whether the text here, or each text of the list here, is a path or an address."""
    options = [*alternatives(node), *(option.get("items", {}) for option in alternatives(node))]
    return any(option.get("format") in ("path", "location") for option in options)


def nearest(path: KeyPath, root: Node) -> KeyPath | None:
    """The known key that somebody most likely meant.

    Args:
        path: an unknown key.
        root: schema of all settings.

    Returns:
        A sibling that is spelled alike, else a key anywhere that is; None where nothing comes near.
    """
    *parent, name = path
    known = {"_".join(leaf): leaf for leaf, _ in leaves(root)}
    # One underscore for two (CENTERNET_CALIBRATION_COUNT) is the commonest slip in a variable's name.
    if "_".join(path) in known:
        return known["_".join(path)]
    if close := difflib.get_close_matches(name, children(find(root, parent) or {}), n=1):
        return (*parent, close[0])
    if close := difflib.get_close_matches("_".join(path), known, n=1, cutoff=0.8):
        return known[close[0]]
    same_name = [leaf for leaf in known.values() if leaf[-1] == name]
    return same_name[0] if len(same_name) == 1 else None


def allowed(node: Node) -> str:
    """Says in words what may stand here.

    Args:
        node: schema of the key.

    Returns:
        For example `a whole number from 1 to 64, or none`.
    """
    options = alternatives(node)
    phrases = [_phrase({**node, **option}) for option in options if option.get("type") != "null"]
    return ", or ".join(dict.fromkeys(phrases)) + (", or none" if takes(node, "null") and len(options) > 1 else "")


def _phrase(node: Node) -> str:
    if "allowed" in node:
        return str(node["allowed"])
    if "const" in node or "enum" in node:
        return ", ".join(str(choice) for choice in node.get("enum", [node.get("const")]))
    match node.get("type"):
        case "boolean":
            words = "true or false"
        case "integer" | "number":
            words = ("a whole number" if node["type"] == "integer" else "a number") + _range(node)
        case "array":
            least = f" of at least {node['minItems']}" if "minItems" in node else ""
            words = f"a list{least}, each {_phrase(node['items'])}"
        case "object":
            words = "a table with the keys " + ", ".join(node["properties"])
        case _:
            words = "text"
    return words


def _range(node: Node) -> str:
    text = ""
    if "minimum" in node:
        text += f" from {node['minimum']}"
    if "exclusiveMinimum" in node:
        text += f" above {node['exclusiveMinimum']}"
    if "maximum" in node:
        text += f" to {node['maximum']}" if "minimum" in node else f" up to {node['maximum']}"
    if "multipleOf" in node:
        text += f", a multiple of {node['multipleOf']}"
    return text
