"""The queue between two threads: order, end, failure, closing."""

from __future__ import annotations

import threading
from typing import List

import pytest

from inference.channel import Channel, Closed


def test_what_was_put_before_the_end_still_comes_out_in_order() -> None:
    channel: Channel[int] = Channel()
    channel.put(1)
    channel.put(2)
    channel.end()
    assert [channel.get(), channel.get()] == [1, 2]
    for _ in range(2):
        with pytest.raises(Closed):
            channel.get()


def test_an_error_comes_out_after_everything_before_it() -> None:
    channel: Channel[int] = Channel()
    channel.put(1)
    channel.end(OSError("gone"))
    channel.end()
    assert channel.get() == 1
    with pytest.raises(OSError, match="gone"):
        channel.get()


def test_closing_drops_what_is_in_it_and_turns_both_sides_away() -> None:
    channel: Channel[int] = Channel()
    channel.put(1)
    channel.end(OSError("gone"))
    channel.close()
    with pytest.raises(Closed):
        channel.get()
    with pytest.raises(Closed):
        channel.put(2)


@pytest.mark.parametrize("wake", ["put", "end", "close"])
def test_who_waits_is_woken(wake: str) -> None:
    channel: Channel[int] = Channel()
    got: List[object] = []

    def wait() -> None:
        try:
            got.append(channel.get())
        except Closed:
            got.append("closed")

    thread = threading.Thread(target=wait)
    thread.start()
    channel.put(7) if wake == "put" else getattr(channel, wake)()
    thread.join(10)
    assert got == [7 if wake == "put" else "closed"]
