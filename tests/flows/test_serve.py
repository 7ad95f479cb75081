"""Server, worker and deployments by one command, with a stand-in for the compiler."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from prefect.states import Cancelling

from flows.engine import prefect_in
from flows.serving.place import Place, running_server
from flows.serving.plan import POOL, QUEUES
from flows.serving.prepare import ZOMBIES
from settings.locations import PROJECT
from tasks.journal import Outcome
from tests.flows.served import Serving, ask, end_of
from tests.flows.standing import stand
from tests.flows.tiny import TinyBuild, wait_until


class TinyServing(Serving):
    """A service whose runs find the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.build = TinyBuild(folder)
        self.build.environment = stand(Path(self.build.workspace.cache))
        super().__init__(folder / "home", CENTERNET_CACHE=self.build.workspace.cache)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyServing]:
    service = TinyServing(tmp_path_factory.mktemp("serving"))
    with service.running():
        yield service


@pytest.fixture
def client(serving: TinyServing) -> Iterator[SyncPrefectClient]:
    with serving.client() as client:
        yield client


def test_everything_is_there(serving: TinyServing, client: SyncPrefectClient) -> None:
    assert client.read_work_pool(POOL).type == "process"
    deployments = {str(one.name): one for one in client.read_deployments()}
    assert set(deployments) == {"sample", "coco", "watch", "release", "store"}
    assert {one.work_queue_name for one in deployments.values()} == set(QUEUES)
    assert client.read_global_concurrency_limit_by_name("device-simulator").limit == 1
    assert [one.enabled for one in client.read_automations_by_name(ZOMBIES)] == [True]
    assert str(PROJECT) not in str(deployments["sample"].model_dump(mode="json"))


def test_its_pages_ask_the_server_that_they_came_from(serving: TinyServing) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{serving.port}/ui-settings", timeout=30) as answer:
        assert json.load(answer)["api_url"] == serving.api_url


def test_what_is_scheduled_gets_its_runs(serving: TinyServing, client: SyncPrefectClient) -> None:
    watch = client.read_deployment_by_name("watch/watch")

    def runs() -> list[FlowRun]:
        return [run for run in client.read_flow_runs() if run.deployment_id == watch.id and run.auto_scheduled]

    wait_until(runs)
    assert {f"{run.expected_start_time:%H:%M}" for run in runs() if run.expected_start_time} == {"13:30"}


def test_a_second_start_says_that_it_runs(serving: TinyServing) -> None:
    done, shown = serving.command("flows.serve", "start"), serving.command("flows.serve", "status")
    assert done.returncode == 0 and done.stdout == f"it runs already (ready): http://127.0.0.1:{serving.port}\n"
    assert shown.returncode == 0 and "worker    process" in shown.stdout and "server    process" in shown.stdout


def test_a_command_line_takes_the_server_that_runs(serving: TinyServing) -> None:
    with temporary_settings({PREFECT_HOME: serving.home}, restore_defaults={PREFECT_API_URL}):
        assert running_server(serving.home) == serving.api_url
        with prefect_in(serving.build.workspace) as started:
            assert started is None and PREFECT_API_URL.value() == serving.api_url


def test_the_server_refuses_a_field_that_no_form_has(serving: TinyServing, client: SyncPrefectClient) -> None:
    with pytest.raises(PrefectHTTPStatusError) as caught:
        ask(client, "build/sample", chpis=["BM1684"])
    assert caught.value.response.status_code == 409 and "chpis" in caught.value.response.text


def test_a_cancelled_build_ends_its_compiler_and_the_next_goes_on_where_the_command_line_ends(
    serving: TinyServing, client: SyncPrefectClient
) -> None:
    build, held = serving.build, serving.build.environment / "held"
    build.switch("hold", "deploy")
    run = ask(client, "build/sample", profile_file=str(build.profile))
    # Meanwhile another one: it waits for its turn.
    waiting = ask(client, "watch/watch", profile_file=str(build.profile), compiler="0.1", dry_run=True)
    wait_until(held.exists)
    compiler = int(held.read_text())
    state = client.read_flow_run(waiting.id).state
    assert state is not None and state.is_scheduled()
    client.set_flow_run_state(run.id, Cancelling())
    wait_until(lambda: not Path(f"/proc/{compiler}").exists())
    assert end_of(client, run).state_name == "Cancelled"
    build.switch("hold", None)
    assert end_of(client, waiting).state_name == "Completed"

    done = end_of(client, ask(client, "build/sample", profile_file=str(build.profile)))
    assert done.state_name == "Completed", done.state
    made = {slot for slot, entry in build.entries().items() if entry.outcome is Outcome.HIT}
    assert {"trace", "import b1", "calibrate"} <= made and build.digest
    again = serving.command("flows.build", "--profile", str(build.profile))
    assert again.returncode == 0 and "nothing is new" in again.stdout, again.stderr
    assert build.made() == set()


def test_a_wrong_setting_fails_the_run_with_one_paragraph(serving: TinyServing, client: SyncPrefectClient) -> None:
    done = end_of(client, ask(client, "build/sample", overrides={"simulator.imagse": 0}))
    assert done.state is not None and done.state_name == "Failed"
    assert "did you mean simulator.images?" in str(done.state.message) and "Traceback" not in str(done.state.message)


def test_a_stop_ends_all_and_cancels_what_is_at_work(serving: TinyServing, client: SyncPrefectClient) -> None:
    build, held = serving.build, serving.build.environment / "held"
    held.unlink(missing_ok=True)
    build.switch("hold", "deploy")
    form = {"profile_file": str(build.profile), "overrides": {"store.path": str(build.folder / "another")}}
    run = ask(client, "build/sample", **form)
    wait_until(held.exists)
    compiler, status = int(held.read_text()), Place(serving.home).status()
    assert status is not None
    started = time.monotonic()
    done = serving.command("flows.serve", "stop")
    assert done.returncode == 0 and f"cancelled: {run.name}" in done.stdout, done.stdout + done.stderr
    assert time.monotonic() - started < 90
    assert not any(Path(f"/proc/{pid}").exists() for pid in (compiler, status.pid, *status.parts.values()))
    assert not Place(serving.home).is_held()
