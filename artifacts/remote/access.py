"""How to reach a server: who we are there, which certificates to trust, and whether plain http will do.

Nothing here prints a secret: passwords are `SecretStr`, and errors name only where something was looked for.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from pydantic import SecretStr

from artifacts.bounded import read_bounded
from artifacts.errors import AccessProblem
from artifacts.strict_json import decoded
from artifacts.variant import Record

USER = "CENTERNET_REGISTRY_USER"
PASSWORD = "CENTERNET_REGISTRY_PASSWORD"
CA_FILE = "CENTERNET_REGISTRY_CA"
PLAIN_HTTP = "CENTERNET_REGISTRY_PLAIN_HTTP"

HELPER_TIMEOUT_S = 15.0
_MAX_CONFIG_BYTES = 1 << 20
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# What a credential helper gives as user name when the secret is a token to be exchanged (docker-credential-helpers).
_TOKEN_USER = "<token>"
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Credentials(Record):
    """Who we are at one server.

    Attributes:
        user: User name; empty beside an identity token.
        password: Password, or an access token in its place.
        identity_token: A refresh token that is exchanged for an access token (docker's ``identitytoken``).
    """

    user: str = ""
    password: SecretStr = SecretStr("")
    identity_token: Optional[SecretStr] = None


class Access(Record):
    """How to reach a server.

    Attributes:
        given: Credentials to use; when None, docker's configuration is asked, and only once a server wants some.
        ca_file: Certificates of the authorities to trust, PEM; when None, those that `requests` trusts.
        plain_http: Whether to speak http instead of https; when None, only to a server on this machine, and there only
            when no `ca_file` is given.
        docker_config: Docker's configuration folder; None for no docker configuration.
    """

    given: Optional[Credentials] = None
    ca_file: Optional[Path] = None
    plain_http: Optional[bool] = None
    docker_config: Optional[Path] = None

    @classmethod
    def from_environment(cls, environ: Optional[Mapping[str, str]] = None) -> Access:
        """Read ``CENTERNET_REGISTRY_USER``, ``_PASSWORD``, ``_CA``, ``_PLAIN_HTTP`` and ``DOCKER_CONFIG``.

        Args:
            environ: The environment; this process's when None.

        Raises:
            AccessProblem: A variable is wrong, or one of a pair is missing.
        """
        env = os.environ if environ is None else environ
        user, password = env.get(USER), env.get(PASSWORD)
        if bool(user) != bool(password):
            raise AccessProblem(f"Of {USER} and {PASSWORD} only one is set: set both, or none.")
        ca_file = Path(env[CA_FILE]).expanduser() if env.get(CA_FILE) else None
        if ca_file is not None and not ca_file.is_file():
            raise AccessProblem(f"{CA_FILE} names {ca_file}, which is no file: give a PEM file of certificates.")
        plain = env.get(PLAIN_HTTP, "").strip().lower()
        if plain and plain not in _YES + _NO:
            raise AccessProblem(f"{PLAIN_HTTP} is {plain[:20]!r}: set it to 1 or 0, or leave it out.")
        folder = Path(env.get("DOCKER_CONFIG") or Path("~", ".docker").expanduser())
        return cls(
            given=Credentials(user=user, password=SecretStr(password)) if user and password else None,
            ca_file=ca_file,
            plain_http=plain in _YES if plain else None,
            docker_config=folder,
        )

    def scheme_for(self, host: str) -> str:
        """Return ``http`` or ``https``.

        Args:
            host: The server as ``host[:port]``.
        """
        plain = is_loopback(host) and self.ca_file is None if self.plain_http is None else self.plain_http
        return "http" if plain else "https"

    def credentials(self, host: str) -> Optional[Credentials]:
        """Look up who we are at a server; may start a credential helper.

        Args:
            host: The server as ``host[:port]``.

        Returns:
            None when nothing is configured for it.

        Raises:
            AccessProblem: The configuration cannot be read, or its helper fails.
        """
        if self.given is not None or self.docker_config is None:
            return self.given
        path = self.docker_config / "config.json"
        config = _read_config(path)
        helper = _mapping(config, "credHelpers").get(host) or config.get("credsStore")
        found = _from_helper(str(helper), host) if helper else None
        return found or _from_auths(_mapping(config, "auths"), host, path)


def is_loopback(host: str) -> bool:
    """Tell whether ``host[:port]`` is this machine by its very name: ``localhost``, ``127.x.y.z`` or ``[::1]``."""
    bare = re.sub(r":\d+$", "", host).strip("[]")
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare == "localhost"


def _mapping(config: Dict[str, Any], key: str) -> Dict[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def _read_config(path: Path) -> Dict[str, Any]:
    try:
        value = decoded(read_bounded(path, _MAX_CONFIG_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        # The text of a JSON error may quote the file.
        raise AccessProblem(
            f"{path} cannot be read ({type(error).__name__}): mend it, or name another folder in DOCKER_CONFIG."
        ) from None
    return value if isinstance(value, dict) else {}


def _from_auths(auths: Dict[str, Any], host: str, path: Path) -> Optional[Credentials]:
    for key, entry in auths.items():
        # Old entries are addresses: https://index.docker.io/v1/.
        if re.sub(r"^https?://", "", key).split("/")[0] != host or not isinstance(entry, dict):
            continue
        token = entry.get("identitytoken")
        user, password = entry.get("username"), entry.get("password")
        if entry.get("auth"):
            try:
                user, _, password = base64.b64decode(str(entry["auth"]), validate=True).decode("utf-8").partition(":")
            except (binascii.Error, ValueError):
                raise AccessProblem(f"The entry for {host} in {path} is no base64: log in again.") from None
        if token:
            return Credentials(identity_token=SecretStr(str(token)))
        if user and password:
            return Credentials(user=str(user), password=SecretStr(str(password).rstrip("\0")))
    return None


def _from_helper(name: str, host: str) -> Optional[Credentials]:
    program = f"docker-credential-{name}"
    found = shutil.which(program) if _HELPER_NAME.fullmatch(name) else None
    if found is None:
        raise AccessProblem(
            f"Docker's configuration names {program!r} for {host}, which is not on the PATH: install it, "
            f"or set {USER} and {PASSWORD}."
        )
    try:
        done = subprocess.run(
            [found, "get"], input=host.encode(), capture_output=True, timeout=HELPER_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccessProblem(
            f"{program} gave no answer for {host} ({type(error).__name__}): unlock it, or set {USER} and {PASSWORD}."
        ) from None
    if done.returncode != 0:
        if b"not found" in done.stdout + done.stderr:
            return None
        raise AccessProblem(
            f"{program} failed for {host} with exit status {done.returncode}: run it by hand to see why."
        )
    try:
        answer = decoded(done.stdout)
        user, secret = str(answer["Username"]), SecretStr(str(answer["Secret"]))
    except (ValueError, KeyError, TypeError):
        raise AccessProblem(f"{program} gave something for {host} that is no answer of a credential helper.") from None
    return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user=user, password=secret)
