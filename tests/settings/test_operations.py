"""Settings of running builds over the years."""

from __future__ import annotations

import pytest

from settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["runner.kind=dask"], "belong together"),
        (["runner.scheduler=tcp://build-1:8786"], "belong together"),
        (["runner.kind=dask", "runner.scheduler=build-1"], "tcp://build-1:8786"),
        (["exchange.folder=/shared", "exchange.repository=registry.example.com/work"], "not both"),
        (["exchange.repository=registry.example.com/work:tag"], "without a tag"),
        (["margins.latency=0.9"], "margins.latency"),
    ],
)
def test_what_does_not_fit_together_is_told(overrides: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load_settings("sample", overrides=overrides, environ={})


def test_a_scheduler_and_an_exchange_are_taken() -> None:
    overrides = ["runner.kind=dask", "runner.scheduler=tcp://10.0.0.1:8786", "exchange.folder=/shared/work"]
    settings = load_settings("sample", overrides=overrides, environ={})
    assert settings.runner.scheduler == "tcp://10.0.0.1:8786" and str(settings.exchange.folder) == "/shared/work"
