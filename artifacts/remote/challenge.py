"""What a server that answers 401 wants: the header ``WWW-Authenticate`` (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?:,|$)')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|$|\s*,)")


class Challenge(NamedTuple):
    """One way to say who we are.

    Attributes:
        scheme: In lower case: ``basic``, ``bearer``.
        parameters: By name in lower case.
    """

    scheme: str
    parameters: Dict[str, str]


def parse_challenges(header: str) -> List[Challenge]:
    """Read the header; what cannot be understood ends the list.

    Args:
        header: Its value; several headers joined by commas.
    """
    found: List[Challenge] = []
    place = 0
    while place < len(header):
        parameter = _PARAMETER.match(header, place)
        if parameter is not None and found:
            name, quoted, plain = parameter.groups()
            found[-1].parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            place = parameter.end()
            continue
        scheme = _SCHEME.match(header, place)
        if scheme is None:
            break
        found.append(Challenge(scheme[1].lower(), {}))
        place = scheme.end()
    return found


def chosen(challenges: List[Challenge]) -> Optional[Challenge]:
    """Return the way that we can go, a token before a password; None when there is none."""
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme and (scheme == "basic" or challenge.parameters.get("realm")):
                return challenge
    return None
