"""Who may talk to the Prefect server of this machine: programs on it and the server's own pages, no other site's page.

A server on the loopback is reached by every page in a browser on the same machine. Whoever can make a deployment can
have a worker run anything. Prefect's list of origins only keeps another site's page from reading answers: a request
without a content type is carried out all the same, a websocket is opened, and a name that is made to lead to the
loopback (DNS rebinding) is no other origin at all. So the host and the origin of every request are looked at here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

APPLICATION = "flows.serving.doorkeeper:create_app"
"""What uvicorn is told to call."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FORBIDDEN = 403
_POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1
_REASON = (
    b"refused: only programs on this machine and the server's own pages may ask. Another address of the pages is "
    b"allowed by PREFECT_SERVER_CORS_ALLOWED_ORIGINS."
)


def may_enter(host: str | None, origin: str | None, allowed: Collection[str]) -> bool:
    """Decide about one request by what a page in a browser cannot choose.

    Args:
        host: Its header of that name, `name[:port]`; None where there is none.
        origin: The page that asks, as browsers say it; None where no page does.
        allowed: Origins that may ask too; `*` lets everybody in.

    Returns:
        Whether the server is meant by its own name, and the asking page is one of its own.
    """
    if "*" in allowed:
        return True
    named = _name(f"//{host}") if host else None
    if named not in (*_LOOPBACK, *map(_name, allowed)):
        return False
    return origin is None or origin in allowed or origin == f"http://{host}"


class Doorkeeper:
    """Stands before an application and turns away what may not enter."""

    def __init__(self, application: ASGIApp, allowed: Collection[str]) -> None:
        """Stand there.

        Args:
            application: What is guarded.
            allowed: Origins that may ask beside its own.
        """
        self._application = application
        self._allowed = frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on, or refuse it."""
        if scope["type"] == "lifespan" or self._lets_in(scope):
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            head = [(b"content-type", b"text/plain"), (b"content-length", str(len(_REASON)).encode())]
            await send({"type": "http.response.start", "status": _FORBIDDEN, "headers": head})
            await send({"type": "http.response.body", "body": _REASON})

    def _lets_in(self, scope: Scope) -> bool:
        # A header that is sent twice is refused with the first that does not fit.
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"] or [None]
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"] or [None]
        return all(may_enter(host, origin, self._allowed) for host in hosts for origin in origins)


def create_app() -> ASGIApp:
    """Make Prefect's application behind its doorkeeper; called by uvicorn in the server's process."""
    from prefect.server.api.server import create_app as prefects
    from prefect.settings import PREFECT_SERVER_CORS_ALLOWED_ORIGINS

    allowed = PREFECT_SERVER_CORS_ALLOWED_ORIGINS.value().split(",")
    return Doorkeeper(prefects(), [origin.strip() for origin in allowed])


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
