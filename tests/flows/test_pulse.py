"""A Prefect server that stops answering while a flow is at work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from flows import pulse as pulse_module
from flows.errors import ServerLost
from flows.pulse import Pulse, watched
from flows.stopping import run_until_stopped
from tests.flows.machines import until
from tests.flows.test_stopping import children
from tests.tasks.sources import origin as o

HEALTH = "/api/health"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PULSE_S", 0.02), ("ANSWER_S", 0.3), ("WARN_AFTER", 2), ("ENOUGH", 4)):
        monkeypatch.setattr(pulse_module, name, value)


@pytest.fixture
def origin() -> Iterator[o.Origin]:
    with o.running() as origin:
        yield origin


def test_a_server_that_falls_silent_is_lost_and_waited_for_first(
    origin: o.Origin, caplog: pytest.LogCaptureFixture
) -> None:
    silent = threading.Event()

    def act(exchange: o.Exchange, content: bytes) -> None:
        if silent.is_set():
            exchange.origin.closing.wait(60)
        else:
            o.status(200)(exchange, content)

    origin.put(HEALTH, b"", otherwise=act)
    with watched(f"{origin.url}/api") as pulse:
        until(lambda: len(origin.requests) > 3)
        assert pulse.lost() is None
        silent.set()
        until(lambda: "is waited for" in caplog.text)
        until(lambda: pulse.lost() is not None)
        with pytest.raises(ServerLost, match=r"stopped answering.*what is finished is kept"):
            run_until_stopped(
                lambda: silent.wait() and threading.Event().wait(60),
                [],
                spared=children(),
                farewell=lambda: None,
                lost=pulse.lost,
            )


def hung_up(exchange: o.Exchange, _: bytes) -> None:
    exchange.close_connection = True


def test_a_server_that_comes_back_is_not_lost(origin: o.Origin, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    origin.put(HEALTH, b"", o.status(200), *[hung_up] * 3, otherwise=o.status(503))
    with watched(f"{origin.url}/api") as pulse:
        until(lambda: "answers again" in caplog.text)
        assert pulse.lost() is None


def test_an_address_that_never_answered_us_is_left_to_prefect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}/api"
    with watched(address) as pulse:
        threading.Event().wait(0.5)
        assert pulse.lost() is None
    assert isinstance(pulse, Pulse)
