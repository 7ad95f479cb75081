"""Sessions in which a server cannot keep us by a byte now and then.

A time-out of `requests` bounds one wait for the network. Status line and headers, the line before a chunk and the lines
behind the last one take many, each of which may be as long: a server that sends them byte by byte, or one interim
answer after the other, keeps `http.client` for days (65,536 bytes a line, a hundred lines, any number of interim
answers). Here the time-out bounds all that one call reads: the whole head, or one piece of the body.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any, Optional

import requests
import requests.adapters


class _Reader(io.RawIOBase):
    """What comes from a socket until a moment that is put off by `restart`."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._socket = sock
        self._raw = raw
        self._limit_s = sock.gettimeout()
        self._end: Optional[float] = None
        self.restart()

    def restart(self) -> None:
        """Give a new call its time."""
        self._end = None if self._limit_s is None else time.monotonic() + self._limit_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        if self._end is None:
            return self._raw.readinto(buffer)
        left = self._end - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")  # noqa: UP041 - another class before Python 3.10
        self._socket.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        finally:
            # The next request over this connection is sent with it.
            self._socket.settimeout(self._limit_s)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        # Its `fp` is a buffer over the socket; below it belongs what counts the time.
        self._reader = _Reader(sock, self.fp.detach())
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        self._reader.restart()
        super().begin()

    def read1(self, n: int = -1) -> bytes:
        self._reader.restart()
        return super().read1(n)

    def read(self, amt: Optional[int] = None) -> bytes:
        self._reader.restart()
        return super().read(amt)


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _bound_pools(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        return _bound_pools(super().proxy_manager_for(*args, **options))


def _bound_pools(manager: Any) -> Any:
    """Let a pool manager of urllib3, whatever its release and kind, read answers with `_Response`."""
    manager.pool_classes_by_scheme = {
        scheme: pool if pool.ConnectionCls.response_class is _Response else _bound_pool(pool)
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


def _bound_pool(pool: Any) -> Any:
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": _Response})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def bound(session: requests.Session) -> None:
    """Let the time-outs of a session's requests bound each call that reads, not each wait.

    Args:
        session: Its bodies are to be read by `read1`; a `read` has to be done within the time-out as a whole.
    """
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
