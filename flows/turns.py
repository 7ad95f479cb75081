"""One validation at a time on a device, by a limit that Prefect's server keeps."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from artifacts.files import locked
from tasks.errors import DeviceLimitMissing

log = logging.getLogger(__name__)


def limit_name(device: str) -> str:
    """Return the name of a device's limit."""
    return f"device-{device}"


def make_limit(device: str) -> None:
    """Make a device's limit on the server where there is none; one that is there stays as it is.

    Args:
        device: Its name in the settings.
    """
    name = limit_name(device)
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


@contextmanager
def turn_on(device: str) -> Iterator[None]:
    """Have a device for oneself while the block runs; wait for it where somebody else has it.

    Args:
        device: Its name in the settings.

    Raises:
        DeviceLimitMissing: The server has no limit for it. Prefect itself would let everybody in then.
    """
    name = limit_name(device)
    with get_client(sync_client=True) as client:
        try:
            limit = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound as error:
            raise DeviceLimitMissing(device, name) from error
    if limit.active_slots >= limit.limit:
        log.info("device %s is in use by another validation, waiting for it (limit %s)", device, name)
    with concurrency(name, occupy=1, strict=True):
        yield


@contextmanager
def limit_of_our_own(device: str) -> Iterator[None]:
    """Make a device's limit on a server that this process started, for the block.

    Such servers share a database, and so the limits in it, but not the leases: the slot of a run that was killed
    together with its server would never be free again. A lock that the kernel frees stands before it, and whoever has
    that sets the slots to none.

    Args:
        device: Its name in the settings.
    """
    name = limit_name(device)
    lock = get_current_settings().home / f"centernet-{name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock), get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, 1)
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=0))
        yield
