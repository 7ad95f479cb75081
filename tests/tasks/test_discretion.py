"""What an error of a library says about the address that it asked."""

from __future__ import annotations

import traceback

import pytest
import requests

from tasks.discretion import discreet, scrub

ADDRESS = "http://user:s3cret@127.0.0.1:1/w.pth?token=s3cret"


def test_an_error_of_a_library_loses_its_address_and_is_the_same_error() -> None:
    with pytest.raises(requests.ConnectionError) as caught, discreet():
        requests.get(ADDRESS, timeout=1)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    # The line of the source that asked is code, not the address.
    assert "s3cret" not in told and "with url: /w.pth?..." in told


def test_causes_and_contexts_lose_it_too() -> None:
    with pytest.raises(RuntimeError) as caught, discreet():
        try:
            raise ValueError(f"could not ask {ADDRESS}")
        except ValueError:
            raise RuntimeError("no weights", ADDRESS, 7) from OSError(5, "broken", ADDRESS)
    assert caught.value.args == ("no weights", "http://127.0.0.1:1/w.pth?...", 7)
    assert "s3cret" not in str(caught.value.__context__) and "s3cret" not in str(caught.value.__cause__.args)


def test_errors_that_cause_each_other_end() -> None:
    one, two = ValueError("one"), ValueError("two", ADDRESS)
    one.__cause__, two.__cause__ = two, one
    scrub(one)
    assert two.args[1] == "http://127.0.0.1:1/w.pth?..."
