"""JSON that somebody else wrote: one meaning or none, and bounded in what reading it costs.

RFC 8259 leaves to each reader what a name means that occurs twice, and how large a number may be (sections 4 and 6); a
signature over bytes that two readers understand differently is worth nothing. And a document of 8 MB that is a list of
wrong things takes some GB to say what is wrong with each.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, NoReturn, Set, Tuple

MAX_DEPTH = 64
MAX_VALUES = 250_000
# More than any size, id or serial has, and less than what Python needs long for.
_MAX_DIGITS = 400


def decoded(data: bytes) -> Any:
    """Decode JSON.

    Args:
        data: UTF-8 JSON.

    Returns:
        The value; all in it can be written as JSON again.

    Raises:
        ValueError: It is no JSON, has a name twice, numbers beyond a float's range, NaN, infinities, text that UTF-8
            cannot carry, more than MAX_VALUES values, or lists and objects more than MAX_DEPTH deep.
    """
    # Each value but the first of a list or an object stands behind a comma; a comma inside a text does no harm here.
    if data.count(b",") >= MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES} values")
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bearable,
            object_pairs_hook=_each_once,
        )
    except RecursionError as error:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from error
    _check(value)
    return value


def _check(value: Any) -> None:
    waiting: List[Tuple[Any, int]] = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, str):
            # Escapes can make half of a pair, which is no character.
            one.encode("utf-8")
        elif isinstance(one, (dict, list)):
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
            inside = [*one, *one.values()] if isinstance(one, dict) else one
            waiting += [(item, depth + 1) for item in inside if isinstance(item, (str, dict, list))]


def _each_once(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: Set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice[:80]!r} is there twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _bearable(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")
