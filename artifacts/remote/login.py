"""Saying who we are: basic authentication (RFC 7617) and bearer tokens (distribution-spec's token authentication)."""

from __future__ import annotations

import base64
from typing import Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import urlencode, urlsplit

from artifacts.errors import RegistryMisbehaved, RegistryRefused
from artifacts.remote.access import PASSWORD, USER, Access, Credentials, is_loopback
from artifacts.remote.challenge import Challenge, chosen, parse_challenges
from artifacts.strict_json import decoded

MAX_TOKEN_BYTES = 1 << 20
_CLIENT = "centernet-sophon"


class TokenRequest(NamedTuple):
    """How to ask for a token.

    Attributes:
        method: GET or POST.
        url: The realm, with the query for GET.
        headers: Among them the credentials, if any.
        body: The form for POST.
    """

    method: str
    url: str
    headers: Dict[str, str]
    body: Optional[bytes]


class Login:
    """Who we are at one registry; asks for credentials only once the registry wants some.

    Args:
        base: The registry's own address, ``https://host[:port]``.
        account: The registry's name in the docker configuration, ``host[:port]``.
        scope: What we want to do, ``repository:NAME:pull``.
        access: Where credentials come from.
    """

    def __init__(self, base: str, account: str, scope: str, access: Access) -> None:
        self._base = base
        self._account = account
        self._scope = scope
        self._access = access
        self._credentials: Optional[Credentials] = None
        self._looked_up = False
        self.authorization: Optional[str] = None

    def known(self) -> Optional[Credentials]:
        """Return the credentials, looked up once.

        Raises:
            AccessProblem: The docker configuration cannot be used.
        """
        if not self._looked_up:
            self._credentials, self._looked_up = self._access.credentials(self._account), True
        return self._credentials

    def wanted(self, header: str) -> Optional[TokenRequest]:
        """Answer a challenge.

        Args:
            header: The value of ``WWW-Authenticate``.

        Returns:
            The request for a token, whose answer `take` wants; None when `authorization` is set already.

        Raises:
            RegistryRefused: The registry wants credentials and there are none, or wants something unknown.
            RegistryMisbehaved: The credentials would go where they must not.
            AccessProblem: The docker configuration cannot be used.
        """
        challenge = chosen(parse_challenges(header))
        if challenge is None:
            raise self.refused("it wants a way of logging in that is not known here")
        found = self.known()
        if challenge.scheme == "basic":
            if found is None or not found.user:
                raise self.refused("it wants a user name and a password, and none were given")
            self.authorization = _basic(found)
            return None
        return self._token_request(challenge, found)

    def take(self, answer: bytes) -> None:
        """Read the token out of the realm's answer.

        Raises:
            RegistryMisbehaved: There is none in it.
        """
        try:
            value = decoded(answer)
            token = value.get("token") or value.get("access_token")
        except (ValueError, AttributeError):
            token = None
        # A line break in it would make another header.
        if not isinstance(token, str) or not token.isprintable() or " " in token or not token.isascii():
            raise RegistryMisbehaved(self._account, "the answer of its login service holds no token")
        self.authorization = f"Bearer {token}"

    def refused(self, reason: str, status: Optional[int] = None) -> RegistryRefused:
        """Return the error that tells how to give credentials."""
        advice = (
            f"Log in with 'docker login {self._account}', or set {USER} and {PASSWORD} to an account that may do this"
        )
        return RegistryRefused(self._account, reason, advice, status)

    def _token_request(self, challenge: Challenge, found: Optional[Credentials]) -> TokenRequest:
        realm = challenge.parameters["realm"]
        self._check_realm(realm)
        query: List[Tuple[str, str]] = [("scope", scope) for scope in self._scopes(challenge)]
        if "service" in challenge.parameters:
            query.insert(0, ("service", challenge.parameters["service"]))
        if found is not None and found.identity_token is not None:
            secret = found.identity_token.get_secret_value()
            form = [*query, ("grant_type", "refresh_token"), ("refresh_token", secret), ("client_id", _CLIENT)]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return TokenRequest("POST", realm, headers, urlencode(form).encode())
        headers = {} if found is None else {"Authorization": _basic(found)}
        return TokenRequest("GET", f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}", headers, None)

    def _check_realm(self, realm: str) -> None:
        own = urlsplit(self._base)
        try:
            there = urlsplit(realm)
        except ValueError:
            raise RegistryMisbehaved(self._account, "it wants us to log in at what is no address") from None
        at_home = (there.scheme, there.netloc) == (own.scheme, own.netloc)
        # A login service on this very machine is nobody else's, but only for a registry that is here too.
        local = there.scheme == "http" and is_loopback(there.netloc) and is_loopback(own.netloc)
        if not there.hostname or not (there.scheme == "https" or at_home or local):
            raise RegistryMisbehaved(
                self._account,
                f"it wants us to log in at {there.netloc.rpartition('@')[2][:100]!r} without encryption",
                "No credentials were sent. Its owner has to give an https address as the realm",
            )

    def _scopes(self, challenge: Challenge) -> List[str]:
        # Ours may want more (push) than the request that was challenged; a server that renames repositories may want
        # another.
        kind = self._scope.rpartition(":")[0] + ":"
        asked = [scope for scope in challenge.parameters.get("scope", "").split() if not scope.startswith(kind)]
        return [self._scope, *asked[:5]]


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.user}:{credentials.password.get_secret_value()}"
    return "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")
