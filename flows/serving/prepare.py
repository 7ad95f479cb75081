"""What a server has to know of us: work pool, queues, a limit for each device, an automation, the deployments.

May be run again at any time: what is there and right stays, with whatever a person set on it by hand.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from flows.serving.plan import POOL, QUEUES, SILENCE_S, TAG
from flows.turns import limit_name
from settings.errors import SettingsError
from settings.load import known_profiles, load_settings
from settings.locations import PROJECT

ZOMBIES = "centernet: mark killed runs as crashed"

_STARTED = "prefect.flow-run.heartbeat"
_GOES_ON = {"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Crashed"))}
_ENDED_OTHERWISE = {f"prefect.flow-run.{name}" for name in ("Cancelled", "Held", "Paused", "Suspended", "Scheduled")}


async def prepare(environ: Mapping[str, str]) -> None:
    """Make everything that is missing but the deployments.

    Args:
        environ: Variables that the settings are read with.

    Raises:
        PrefectHTTPStatusError: The server refuses.
        SystemExit: The work pool is there and of another type.
    """
    async with get_client() as client:
        await _make_pool(client)
        for name, limit in QUEUES.items():
            await _make_queue(client, name, limit)
        for device in sorted(devices(environ)):
            await _make_limit(client, limit_name(device))
        await _make_automation(client, zombie_automation())


def devices(environ: Mapping[str, str]) -> set[str]:
    """Return the names of all devices that the shipped profiles have on this machine.

    Args:
        environ: Variables that the settings are read with.
    """
    found: set[str] = set()
    for profile in known_profiles():
        try:
            found |= set(load_settings(profile, environ=environ).devices)
        except SettingsError as error:  # each run says so itself; the rest works
            print(f"profile {profile}: {error}", file=sys.stderr)
    return found


def zombie_automation() -> AutomationCore:
    """Return the automation that marks a run as crashed which shows no sign of life, after process and worker died."""
    return AutomationCore(
        name=ZOMBIES,
        description=f"A run that sent a heartbeat and then nothing for {SILENCE_S} s was killed, or lost its machine.",
        tags=[TAG],
        trigger=EventTrigger(
            after={_STARTED},
            expect=_GOES_ON | _ENDED_OTHERWISE,
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.id": [f"prefect.tag.{TAG}"], "prefect.resource.role": ["tag"]}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENCE_S),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"No sign of life for {SILENCE_S} s: the process was killed, or its machine is gone. What was "
                "finished is kept; start the run again.",
            )
        ],
    )


def deploy() -> int:
    """Deploy everything in prefect.yaml, by Prefect's own command.

    Returns:
        Its exit status.
    """
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    return subprocess.run(command, cwd=PROJECT, check=False, stdin=subprocess.DEVNULL).returncode


async def _make_pool(client: PrefectClient) -> None:
    try:
        pool = await client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        return
    if pool.type != "process":
        raise SystemExit(
            f"The work pool {POOL!r} on this server is of type {pool.type!r}, not 'process'. Delete or rename it "
            f"(prefect work-pool delete {POOL}), then start again."
        )


async def _make_queue(client: PrefectClient, name: str, limit: int | None) -> None:
    try:
        await client.read_work_queue_by_name(name, work_pool_name=POOL)
    except ObjectNotFound:
        queue = await client.create_work_queue(name=name, work_pool_name=POOL)
        await client.update_work_queue(queue.id, concurrency_limit=limit)


async def _make_limit(client: PrefectClient, name: str) -> None:
    try:
        await client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


async def _make_automation(client: PrefectClient, automation: AutomationCore) -> None:
    found = await client.read_automations_by_name(automation.name)
    if not found:
        await client.create_automation(automation)
    elif found[0].trigger != automation.trigger or found[0].actions != automation.actions:
        await client.update_automation(found[0].id, automation.model_copy(update={"enabled": found[0].enabled}))


if __name__ == "__main__":
    asyncio.run(prepare(os.environ))
    sys.exit(deploy())
