"""What went wrong on the way, in our words.

The texts of `requests` and `urllib3` are never passed on: they hold addresses, and the address of a redirected download
holds a signature that is as good as a password.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Dict, Iterator, List, Set, Tuple, Union
from urllib.parse import urlsplit

import requests

from artifacts.errors import CertificateProblem, RegistryError, RegistryMisbehaved, RegistryUnreachable
from artifacts.remote.access import CA_FILE, PLAIN_HTTP
from artifacts.remote.job import TryAgain

_CLOCK = "Check the clock of this machine; if it is right, the registry's owner has to renew the certificate"
_AUTHORITY = f"If it is yours, set {CA_FILE} to a PEM file with the certificate of the authority that issued it"
# OpenSSL's verify codes: x509_vfy.h.
_VERIFY: Dict[int, Tuple[str, str]] = {
    9: ("it is not valid yet", _CLOCK),
    10: ("it has expired", _CLOCK),
    18: ("it is signed by itself", _AUTHORITY),
    19: ("the authority that issued it is not known here", _AUTHORITY),
    20: ("the authority that issued it is not known here", _AUTHORITY),
    21: ("the authority that issued it is not known here", _AUTHORITY),
    62: ("it is for another name", "Address the registry by the name in its certificate"),
    64: ("it is for another address", "Address the registry by the name in its certificate"),
}


def host_of(url: str) -> str:
    """Return ``host[:port]`` of an address, the part that may be shown."""
    return urlsplit(url).netloc.rpartition("@")[2]


def translated(error: Exception, url: str) -> Union[TryAgain, RegistryError]:
    """Turn an exception of the network stack into what to raise in its place.

    Args:
        error: Raised by `requests`, `urllib3`, `http.client`, `ssl` or `socket`.
        url: What was asked.

    Returns:
        TryAgain for what may pass, else the error itself.
    """
    host, causes = host_of(url), list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason, advice = _VERIFY.get(cause.verify_code, (cause.verify_message or "it is not valid", _AUTHORITY))
            return CertificateProblem(host, reason, advice)
        if isinstance(cause, ssl.SSLError) and cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            advice = f"If it speaks plain http and you trust the network, set {PLAIN_HTTP}=1"
            return RegistryUnreachable(host, "it does not speak https", advice)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return RegistryMisbehaved(host, "it gave an address that is none")
    return TryAgain(RegistryUnreachable(host, _reason(causes)))


def _reason(causes: List[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, (socket.timeout, requests.exceptions.Timeout)):
            return "it kept silent for too long"
        if isinstance(cause, socket.gaierror):
            return "its name cannot be resolved"
        if isinstance(cause, http.client.IncompleteRead):
            return "the connection ended too early"
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return f"the connection broke ({type(causes[-1]).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    # urllib3 keeps the cause in `reason` or among the arguments, Python in `__cause__` and `__context__`.
    seen: Set[int] = set()
    queue = [error]
    while queue:
        one = queue.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]
        queue += [cause for cause in inner if isinstance(cause, BaseException)]
