"""Whether the server that keeps the record of runs still answers, while a flow is at work."""

from __future__ import annotations

import logging
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from artifacts.remote.access import is_loopback
from flows.errors import ServerLost

log = logging.getLogger(__name__)

# A question each time; a quarter of an hour without any answer, less where nobody even listens any more. Restarting a
# server takes a minute, and a step that is at work meanwhile may have cost hours.
PULSE_S = 10.0
ANSWER_S = 10.0
WARN_AFTER = 3
ENOUGH = 45


class Pulse:
    """Asks a server now and then. Only one that has answered once can be lost.

    Prefect itself asks each thing six times, for a minute each, so that a server that is frozen would hold up the end
    of a build for more than half an hour, without a word.

    Args:
        api_url: Its address.
    """

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url
        self._known = False
        # Counted, not timed: a build that was frozen itself asks again before it believes anything.
        self._missed = 0
        self._ended = threading.Event()
        threading.Thread(target=self._ask, name="pulse", daemon=True).start()

    def lost(self) -> ServerLost | None:
        """Return the error to end with, once the server has kept silent for long enough."""
        return ServerLost(self._api_url) if self._missed >= ENOUGH else None

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()

    def _ask(self) -> None:
        while not self._ended.wait(PULSE_S):
            if is_there(self._api_url):
                if self._missed >= WARN_AFTER:
                    log.info("Prefect's server answers again")
                self._known, self._missed = True, 0
            elif self._known:
                self._missed += 1
                if self._missed == WARN_AFTER:
                    log.warning("Prefect's server at %s does not answer; it is waited for", self._api_url)


def is_there(api_url: str) -> bool:
    """Tell whether anything is answered under an address, whatever it is."""
    # A proxy of the environment cannot reach a server on this machine.
    local = is_loopback(urllib.parse.urlsplit(api_url).netloc)
    opener = urllib.request.build_opener(*[urllib.request.ProxyHandler({})] if local else [])
    try:
        opener.open(f"{api_url}/health", timeout=ANSWER_S).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def watched(api_url: str) -> Iterator[Pulse]:
    """Ask a server while the block runs.

    Args:
        api_url: Its address.
    """
    pulse = Pulse(api_url)
    try:
        yield pulse
    finally:
        pulse.stop()
