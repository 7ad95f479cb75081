"""From the registry's layout on this machine to a server."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from artifacts.attachments import LayoutPlace, ServerPlace
from artifacts.errors import RegistryUnreachable
from artifacts.reference import Reference, parse_reference
from artifacts.remote import push as remote
from artifacts.remote.client import RemoteRegistry
from tasks.publish import CHANNEL, PublishedRelease
from tasks.signing import promote, sign_release, subject_at
from tasks.signing_key import load_signer


def _may_pass(_task: Any, _run: Any, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), RegistryUnreachable)


# The client itself bears a minute or so; this is for a server that restarts.
@task(
    task_run_name="push {published.version}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[15, 60, 180],
    retry_condition_fn=_may_pass,
)
def push(
    published: PublishedRelease, repository: str, signing_key: Path | None = None, channel: str | None = CHANNEL
) -> PublishedRelease:
    """Push a published release to a server under its version, and move the channel to it. Safe to run again.

    Args:
        published: The release in its layout.
        repository: Where to, as ``host[:port]/repository``.
        signing_key: The private key that signs the release and its channel there; None signs nothing.
        channel: What is moved to it there; None moves nothing.

    Returns:
        The release, with where it is on the server.

    Raises:
        TagExists: The version names another release there.
        GateNotPassed: Not every variant passed its gate.
        SignatureError: The signing key cannot be used, or the channel was signed by another one.
        RegistryError: The server cannot be reached, or refuses.
        StoreError: The layout is damaged.
    """
    target = parse_reference(repository).named(published.version)
    done = remote.push(published.repository, published.digest, target, channels=() if channel is None else (channel,))
    news = signing_key is not None and _sign(published, target, signing_key, channel)
    return published.model_copy(update={"pushed": str(target), "changed": published.changed or done.changed or news})


def _sign(published: PublishedRelease, target: Reference, signing_key: Path, channel: str | None) -> bool:
    """Sign on the server, and give the channel one record there and in the layout."""
    signer = load_signer(signing_key, os.environ)
    with RemoteRegistry(target.place, target.repository, actions="pull,push") as registry:
        here, there = LayoutPlace(published.repository), ServerPlace(registry)
        signed = sign_release(there, subject_at(registry, published.digest), [signer])
        if channel is None:
            return signed
        moved = promote([there, here], published.digest, channel, signers=[signer], now=datetime.now(UTC))
    return signed or moved.changed
