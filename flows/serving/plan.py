"""What `flows.serve` starts, and with which variables. Nothing here acts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from artifacts.environment import without_secrets
from flows.server import CONSOLE_PREFIX
from flows.serving.doorkeeper import APPLICATION
from settings.locations import PROJECT

POOL = "centernet"
TAG = "centernet"
QUEUES = {"builds": 1, "validations": None}
"""Work queues and how many runs of each may be at work at once: build and watch share one store and one registry."""

HEARTBEAT_S = 30
"""Seconds between the signs of life of a run; no less is possible."""

SILENCE_S = 3 * HEARTBEAT_S
"""Seconds without one after which a run counts as crashed."""

CHECKOUT = "CENTERNET_CHECKOUT"
"""The variable of a worker that names its own checkout: prefect.yaml, which all machines share, names none."""

LOOPBACK = "127.0.0.1"


class Plan(BaseModel):
    """What to start.

    Attributes:
        home: Prefect's folder; the server's database is in it.
        api_url: Where the server answers, with `/api` at its end.
        port: Of the server that is started; None where the user's own is used.
        keep_days: How long the server keeps finished runs with their logs, days.
        slots: Runs that the worker has at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    api_url: str
    port: int | None
    keep_days: float = Field(ge=0.05, le=36500)
    slots: int = Field(default=4, ge=1, le=256)

    @property
    def page(self) -> str:
        """Where the pages are."""
        return self.api_url.removesuffix("/api")


def server_command(plan: Plan) -> list[str]:
    """Return the command that runs the server in the foreground."""
    application = ["--app-dir", str(PROJECT), "--factory", APPLICATION, "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", *application, "--host", LOOPBACK, "--port", str(plan.port)]


def worker_command(plan: Plan) -> list[str]:
    """Return the command that runs the worker in the foreground."""
    start = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    return [*start, "--limit", str(plan.slots), "--install-policy", "never"]


def prepare_command() -> list[str]:
    """Return the command that makes pool, queues, limits, automation and deployments."""
    return [sys.executable, "-m", "flows.serving.prepare"]


def server_environment(plan: Plan, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the server; what the user set of the same name wins.

    Of a server's data only events go by themselves. Runs, their logs and artifacts are kept for ever unless told.
    """
    keep = {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(round(plan.keep_days * 86400)),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{round(min(plan.keep_days, 7) * 86400)}S",
        "PREFECT_SERVER_UI_ENABLED": "true",
        "PREFECT_UI_URL": plan.page,
        # Else its pages ask port 4200, whatever port they came from.
        "PREFECT_SERVER_UI_API_URL": plan.api_url,
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # Where its own pages are; what others have to show, flows.serving.doorkeeper says.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{plan.page},{plan.page.replace(LOOPBACK, 'localhost')}",
    }
    ours = {"PREFECT_SERVER_API_HOST": LOOPBACK, "PREFECT__SERVER_FINAL": "1"}
    return {**keep, **_common(plan, without_secrets(inherited)), **ours}


def worker_environment(plan: Plan, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the worker, which the runs that it starts inherit."""
    return {
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        **_common(plan, inherited),
        "PREFECT_API_URL": plan.api_url,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
        CHECKOUT: str(PROJECT),
    }


def _common(plan: Plan, inherited: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in inherited.items() if not name.startswith(CONSOLE_PREFIX)}
    ours = {"PREFECT_HOME": str(plan.home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    return {"PREFECT_CLI_COLORS": "false", **kept, **ours}
