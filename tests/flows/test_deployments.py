"""prefect.yaml, read as Prefect reads it, but without forgiving what Prefect forgives."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from jinja2 import Environment
from jsonschema import Draft202012Validator
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.steps.core import StepExecutionError, run_steps
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessVariables
from pydantic import BaseModel

from flows.rebuild import HELD_EVENT
from flows.serving.plan import CHECKOUT, HEARTBEAT_S, POOL, QUEUES, TAG
from flows.serving.prepare import zombie_automation
from settings.locations import PROJECT

FILE = PROJECT / "prefect.yaml"
NOTIFICATIONS = PROJECT / "docs" / "notifications"


def content() -> dict[str, Any]:
    found = yaml.safe_load(FILE.read_text())
    assert isinstance(found, dict)
    return found


def deployments() -> list[dict[str, Any]]:
    found = content()["deployments"]
    assert isinstance(found, list)
    return found


def strangers(file: dict[str, Any]) -> Iterator[str]:
    """Keys that Prefect does not know, and so would leave out without a word."""
    yield from _unknown(file, PrefectYamlModel, "", {"definitions", "prefect-version"})
    for one in file["deployments"]:
        where = f"{one.get('name')}."
        yield from _unknown(one, DeploymentConfig, where)
        yield from _unknown(one["work_pool"], WorkPoolConfig, f"{where}work_pool.")
        yield from _unknown(one["work_pool"]["job_variables"], ProcessVariables, f"{where}job_variables.")
        yield from _unknown(one["concurrency_limit"], ConcurrencyLimitSpec, f"{where}concurrency_limit.")
        for schedule in one.get("schedules", ()):
            yield from _unknown(schedule, RawScheduleConfig, f"{where}schedules.")


def _unknown(found: dict[str, Any], model: type[BaseModel], where: str, others: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    return [f"{where}{key}" for key in found if key not in set(model.model_fields) | others]


def test_prefect_knows_every_key() -> None:
    assert list(strangers(content())) == []


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (lambda file: file, "shcedules"),
        (lambda file: file["deployments"][0], "sample.shcedules"),
        (lambda file: file["deployments"][0]["work_pool"], "sample.work_pool.shcedules"),
        (lambda file: file["deployments"][0]["work_pool"]["job_variables"], "sample.job_variables.shcedules"),
        (lambda file: file["deployments"][0]["concurrency_limit"], "sample.concurrency_limit.shcedules"),
        (lambda file: file["deployments"][2]["schedules"][0], "watch.schedules.shcedules"),
    ],
)
def test_a_key_that_prefect_would_ignore_is_found(at: Any, told: str) -> None:
    file = copy.deepcopy(content())
    at(file)["shcedules"] = []
    assert told in list(strangers(file))


def test_no_path_of_any_machine_is_in_it() -> None:
    assert not re.search(r"""(^|[\s"'=:])(/|~/|[A-Z]:\\)[A-Za-z]""", FILE.read_text(), re.MULTILINE)


def pulled(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, started_in: Path) -> Path:
    """Run the pull steps as a run does, and return where it is then."""
    monkeypatch.chdir(started_in)
    monkeypatch.delenv(CHECKOUT, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    asyncio.run(run_steps(content()["pull"], print_function=lambda text: None))
    return Path.cwd()


def test_a_run_goes_to_the_checkout_of_its_own_worker(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "another one"):
        (tmp_path / name).mkdir()
        assert pulled({CHECKOUT: str(tmp_path / name)}, monkeypatch, tmp_path) == tmp_path / name


def test_a_worker_that_names_no_checkout_is_told_what_is_missing(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StepExecutionError) as caught:
        pulled({}, monkeypatch, tmp_path)
    assert f"{CHECKOUT}: name the checkout in it" in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("one", deployments(), ids=lambda one: str(one["name"]))
def test_a_deployment_runs_a_flow_that_takes_its_parameters(
    one: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    schema = parameter_schema(load_flow_from_entrypoint(one["entrypoint"])).model_dump()
    form = Draft202012Validator({**schema, "$defs": schema["definitions"]})
    assert [error.message for error in form.iter_errors(one["parameters"])] == []
    assert not form.is_valid({"form": {"shcedules": 1}}) and one["description"] and TAG in one["tags"]


def test_builds_watches_and_cleanings_take_turns_and_validations_do_not_wait_for_them() -> None:
    queues = {one["name"]: one["work_pool"]["work_queue_name"] for one in deployments()}
    assert {one["work_pool"]["name"] for one in deployments()} == {POOL} and set(queues.values()) == set(QUEUES)
    assert queues["sample"] == queues["coco"] == queues["watch"] == queues["store"] and QUEUES[queues["watch"]] == 1
    assert QUEUES[queues["release"]] is None
    assert {one["concurrency_limit"]["collision_strategy"] for one in deployments()} == {"ENQUEUE"}


@pytest.mark.parametrize("name", ["watch", "store"])
def test_a_schedule_never_comes_twice_a_day(name: str) -> None:
    assert [one["name"] for one in deployments() if "schedules" in one] == ["watch", "store"]
    (schedule,) = next(one for one in deployments() if one["name"] == name)["schedules"]
    times = CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    assert times.timezone == "Asia/Shanghai" and len(times.cron.split()) == 5


def test_runs_outlive_their_worker_and_give_signs_of_life() -> None:
    for one in deployments():
        variables = one["work_pool"]["job_variables"]
        assert variables["stream_output"] is False and variables["env"]["DO_NOT_TRACK"] == "1"
        assert variables["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == str(HEARTBEAT_S)


def test_the_file_lies_where_prefect_looks_for_it() -> None:
    assert Path(PROJECT, "prefect.yaml") == FILE and content()["name"]


@pytest.mark.parametrize("name", ["failed", "held"])
def test_a_notification_of_the_docs_is_an_automation(name: str) -> None:
    found = yaml.safe_load((NOTIFICATIONS / f"{name}.yaml").read_text())
    assert set(found) <= set(AutomationCore.model_fields)
    found["actions"][0]["block_document_id"] = str(uuid4())
    automation = AutomationCore.model_validate(found)
    (action,) = automation.actions
    assert isinstance(action, CallWebhook) and isinstance(automation.trigger, EventTrigger)
    Environment().parse(action.payload)
    assert (
        automation.trigger.expect
        == {
            "failed": {f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "TimedOut")},
            "held": {HELD_EVENT},
        }[name]
    )


def test_what_marks_killed_runs_looks_at_ours_alone_and_leaves_those_that_ended() -> None:
    trigger = zombie_automation().trigger
    assert isinstance(trigger, EventTrigger) and trigger.within.total_seconds() == 3 * HEARTBEAT_S
    assert trigger.match_related.model_dump()["prefect.resource.id"] == [f"prefect.tag.{TAG}"]
    ends = {"Completed", "Failed", "Cancelled", "Crashed", "Held"}
    assert {f"prefect.flow-run.{state}" for state in ends} <= trigger.expect
