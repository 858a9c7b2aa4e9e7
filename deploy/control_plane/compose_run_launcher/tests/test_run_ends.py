"""How a run ends whose container has ended or could not be made: said once, and retried or not.

Dagster decides on retries here, by the settings of dagster.yaml; what is told to it is ours. The
engine is a stand-in that holds what a real one would say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests
import yaml
from compose_run_launcher.engine import Engine, RunContainerState
from compose_run_launcher.images import ImageUnavailable
from compose_run_launcher.launcher import ComposeRunLauncher
from compose_run_launcher.launching import Launches, LaunchRefused
from compose_run_launcher.run_watch import RunWatch
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test

from compose_run_launcher import labels

ROOT = Path(__file__).resolve().parents[4]
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("elt"), "__repository__"), "job"
)
SERVICE: dict[str, Any] = {
    "Id": "service",
    "Image": "sha256:image",
    "HostConfig": {"Memory": 512 * 2**20, "NetworkMode": "s_core"},
    "Config": {"Labels": {}, "Env": []},
    "NetworkSettings": {"Networks": {"s_core": {}}},
}


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    """One that retries as the stack's does."""
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    retries = {"run_retries": settings["run_retries"]}
    with DagsterInstance.ephemeral(settings=retries) as instance:
        yield instance


class StandIn(Engine):
    """What an engine knows of one service and of some run containers."""

    def __init__(self) -> None:
        super().__init__("s")
        self.known: dict[str, dict[str, Any]] = {}
        self.made: list[str] = []

    def put(
        self, run: DagsterRun, name: str = "", standby: bool = False, **state: Any
    ) -> dict[str, Any]:
        """A container of the run: ended, unless its ``state`` says otherwise."""
        id = f"{len(self.known):012d}"
        self.known[id] = {
            "Id": id,
            "Name": "/" + (name or labels.run_name("s", run.run_id)),
            "HostConfig": {"Memory": 512 * 2**20},
            "Config": {"Labels": {labels.TICKET: "t"} if standby else {}},
            "State": {
                "Status": "exited",
                "Running": False,
                "ExitCode": 0,
                "OOMKilled": False,
                "Error": "",
                "StartedAt": "2026-01-01T00:00:00Z",
                "FinishedAt": "2026-01-01T00:00:12.5Z",
                **state,
            },
        }
        return self.known[id]

    def container(self, container_id: str) -> dict[str, Any] | None:
        named = {container["Name"].lstrip("/"): container for container in self.known.values()}
        return self.known.get(container_id) or named.get(container_id)

    def run_containers(self, run_id: str | None = None) -> list[RunContainerState]:
        found = [
            RunContainerState(
                id=container["Id"],
                run_id=self.run_of(container),
                state="running" if container["State"]["Running"] else container["State"]["Status"],
                created=float(container["Id"]),
                ticket=container["Config"]["Labels"].get(labels.TICKET, ""),
            )
            for container in self.known.values()
        ]
        return [one for one in found if run_id in {None, one.run_id}]

    def ended_runs(self, since: float) -> Iterator[str]:
        return iter(())

    def log(self, container_id: str, lines: int) -> str:
        return "leaving now\n"

    def service_containers(self, location: str) -> list[dict[str, Any]]:
        return [SERVICE] if location == "elt" else []

    def image(self, reference: str) -> dict[str, Any] | None:
        return {"Id": "sha256:image", "Config": {}} if reference == "sha256:image" else None

    def create(self, name: str, container: Any) -> str:
        self.made.append(name)
        return name


def a_run(
    instance: DagsterInstance, status: DagsterRunStatus = DagsterRunStatus.STARTED, **tags: str
) -> DagsterRun:
    return create_run_for_test(
        instance, job_name="job", status=status, tags=tags, remote_job_origin=ORIGIN
    )


def again(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    """The run as it is now."""
    now = instance.get_run_by_id(run.run_id)
    assert now is not None
    return now


def said(instance: DagsterInstance, run: DagsterRun) -> list[str]:
    """What the run's failure events say."""
    records = instance.get_records_for_run(run.run_id).records
    events = (record.event_log_entry.dagster_event for record in records)
    return [event.message or "" for event in events if event and event.is_run_failure]


def look(instance: DagsterInstance, engine: StandIn) -> list[str]:
    """One look at all that should be alive; the ids of runs that were launched again."""
    launched: list[str] = []
    RunWatch(engine, instance, lambda run: launched.append(run.run_id)).follow()
    return launched


@pytest.mark.parametrize(
    ("state", "words", "retried"),
    [
        # Ended from outside.
        ({"ExitCode": 137}, "it was killed (SIGKILL)", True),
        ({"ExitCode": 143}, "it was told to end (SIGTERM)", True),
        ({"ExitCode": 255}, "it ended with Docker Engine or with the host", True),
        # Would end in the same way again.
        ({"ExitCode": 0}, "its program ended without finishing the run", False),
        ({"ExitCode": 1}, "its program failed before Dagster could report an error", False),
        ({"ExitCode": 3}, "its program failed with exit code 3", False),
        ({"ExitCode": 78}, "its entrypoint refused its settings", False),
        ({"ExitCode": 126}, "its command cannot be executed", False),
        ({"ExitCode": 127}, "its command was not found", False),
        ({"ExitCode": 134}, "it was ended by signal 6", False),
        ({"ExitCode": 139}, "its program crashed (segmentation fault)", False),
        ({"ExitCode": 137, "OOMKilled": True}, "it used more memory than its limit", False),
        ({"ExitCode": 128, "Error": "no such file"}, "Docker could not start it", False),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_an_end_that_comes_from_outside_is_retried_and_no_other(
    instance: DagsterInstance, state: dict[str, Any], words: str, retried: bool
) -> None:
    engine, run = StandIn(), a_run(instance)
    engine.put(run, **state)
    assert look(instance, engine) == []
    assert again(instance, run).status == DagsterRunStatus.FAILURE
    [message] = said(instance, run)
    assert words in message
    for fact in (f"exit code {state['ExitCode']}", "memory limit 512 MiB", "lived 12.5 s"):
        assert fact in message
    assert "leaving now" in message
    assert again(instance, run).tags["dagster/will_retry"] == str(retried).lower()


@pytest.mark.parametrize(("asked", "retried"), [("0", "false"), ("2", "true")])
def test_what_a_run_says_of_its_retries_counts(
    instance: DagsterInstance, asked: str, retried: str
) -> None:
    for state in ({"ExitCode": 137}, {"ExitCode": 3}):
        engine, run = StandIn(), a_run(instance, **{"dagster/max_retries": asked})
        engine.put(run, **state)
        look(instance, engine)
        assert again(instance, run).tags["dagster/will_retry"] == retried


def test_a_retry_that_vanishes_too_is_the_last(instance: DagsterInstance) -> None:
    engine, first = StandIn(), a_run(instance)
    engine.put(first, ExitCode=137)
    look(instance, engine)
    retry = create_run_for_test(
        instance,
        job_name="job",
        status=DagsterRunStatus.STARTED,
        parent_run_id=first.run_id,
        root_run_id=first.run_id,
        tags={"dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id},
        remote_job_origin=ORIGIN,
    )
    engine.put(retry, ExitCode=137)
    look(instance, engine)
    assert again(instance, first).tags["dagster/will_retry"] == "true"
    assert again(instance, retry).tags["dagster/will_retry"] == "false"


def test_a_container_that_was_removed_is_said(instance: DagsterInstance) -> None:
    run = a_run(instance)
    look(instance, StandIn())
    assert said(instance, run) == ["The run's container was removed. Launch the run again."]
    assert again(instance, run).tags["dagster/will_retry"] == "true"


def test_a_run_whose_container_runs_is_left_alone(instance: DagsterInstance) -> None:
    engine, run = StandIn(), a_run(instance)
    engine.put(run, Running=True)
    assert look(instance, engine) == []
    assert again(instance, run).status == DagsterRunStatus.STARTED


def test_a_run_that_goes_on_in_another_container_is_left_alone(instance: DagsterInstance) -> None:
    engine, run = StandIn(), a_run(instance)
    engine.put(run, ExitCode=137)
    engine.put(run, labels.run_name("s", run.run_id) + "-after-0", Running=True)
    look(instance, engine)
    assert again(instance, run).status == DagsterRunStatus.STARTED


def test_the_latest_of_its_containers_explains_the_end(instance: DagsterInstance) -> None:
    engine, run = StandIn(), a_run(instance)
    engine.put(run, ExitCode=137)
    engine.put(run, labels.run_name("s", run.run_id) + "-after-0", ExitCode=3)
    look(instance, engine)
    [message] = said(instance, run)
    assert "exit code 3" in message


@pytest.mark.parametrize("status", [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE])
def test_a_run_that_has_ended_stays_as_it_is(
    instance: DagsterInstance, status: DagsterRunStatus
) -> None:
    engine, run = StandIn(), a_run(instance, status)
    ended = engine.put(run, ExitCode=137)
    watch = RunWatch(engine, instance, lambda _run: None)
    watch._settle_by_id(ended["Id"])
    assert again(instance, run).status == status
    assert said(instance, run) == []


def test_a_run_that_was_to_be_canceled_is_canceled(instance: DagsterInstance) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.CANCELING)
    engine.put(run, ExitCode=143)
    look(instance, engine)
    assert again(instance, run).status == DagsterRunStatus.CANCELED
    assert said(instance, run) == []


@pytest.mark.parametrize(
    "containers",
    [
        [],
        [{"Status": "created"}],
        [{"Status": "running", "Running": True}],
        [{"standby": True, "ExitCode": 137}],
    ],
    ids=["none", "made and not started", "it runs", "a standby worker ended"],
)
def test_a_launch_that_somebody_began_is_finished(
    instance: DagsterInstance, containers: list[dict[str, Any]]
) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    for container in containers:
        engine.put(run, **container)
    assert look(instance, engine) == [run.run_id]
    assert again(instance, run).status == DagsterRunStatus.STARTING


def test_a_start_that_fails_is_an_end(instance: DagsterInstance) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    engine.put(run, ExitCode=1)
    assert look(instance, engine) == []
    assert again(instance, run).status == DagsterRunStatus.FAILURE


def test_a_standby_worker_that_ended_before_it_began_fails_no_run(
    instance: DagsterInstance,
) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    worker = engine.put(run, standby=True, ExitCode=137)
    launched: list[str] = []
    watch = RunWatch(engine, instance, lambda run: launched.append(run.run_id))
    watch._settle_by_id(worker["Id"])
    assert launched == [run.run_id]
    assert again(instance, run).status == DagsterRunStatus.STARTING


def launcher(instance: DagsterInstance, engine: Engine) -> ComposeRunLauncher:
    made = ComposeRunLauncher("s")
    made._engine = engine
    made.register_instance(instance)
    return made


def refused(status: int, explanation: str) -> docker.errors.APIError:
    """An answer of the engine."""
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("refused", response, explanation)


@pytest.mark.parametrize(
    ("error", "words", "retried"),
    [
        (LaunchRefused("no service to copy"), "no service to copy", False),
        (ImageUnavailable("the image is gone"), "the image is gone", False),
        (refused(404, "network x not found"), "network x not found", False),
        (refused(500, "denied: not for you"), "denied: not for you", False),
        (refused(503, "no server is up"), "no server is up", True),
        (requests.exceptions.ConnectionError("no engine"), "no engine", True),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_launch_that_is_refused_is_retried_when_that_may_pass(
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    words: str,
    retried: bool,
) -> None:
    def launch(*_: Any) -> None:
        raise error

    monkeypatch.setattr("compose_run_launcher.launcher.stop_after_delay", lambda _: lambda _: True)
    run = a_run(instance, DagsterRunStatus.STARTING)
    launcher(instance, StandIn())._try_until_given_up(launch, run)
    [message] = said(instance, run)
    assert message.startswith("The run could not be launched: ")
    assert words in message
    assert again(instance, run).tags["dagster/will_retry"] == str(retried).lower()


def test_an_engine_that_is_away_for_a_moment_is_asked_again(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Exception | None] = [refused(503, ""), refused(500, "toomanyrequests"), None]

    def launch(*_: Any) -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    monkeypatch.setattr(
        "compose_run_launcher.launcher.wait_exponential", lambda **_: lambda _state: 0
    )
    run = a_run(instance, DagsterRunStatus.STARTING)
    launcher(instance, StandIn())._try_until_given_up(launch, run)
    assert answers == []
    assert again(instance, run).status == DagsterRunStatus.STARTING


def launched(instance: DagsterInstance, engine: StandIn, run: DagsterRun) -> None:
    """Launch it as the daemon does."""
    launch: Callable[..., None] = Launches(engine, instance).launch
    launcher(instance, engine)._try_until_given_up(launch, run, "sha256:image", ["true"])


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [
        ("docker/memory", "much", ["tag docker/memory", "'much'", "512m or 2g"]),
        ("docker/cpus", "1,5", ["tag docker/cpus", "'1,5'", "1.5"]),
        ("dagster/max_runtime", "1h", ["tag dagster/max_runtime", "'1h'", "3600"]),
    ],
)
def test_a_tag_that_is_no_limit_is_refused_by_name(
    instance: DagsterInstance, tag: str, value: str, words: list[str]
) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING, **{tag: value})
    launched(instance, engine, run)
    [message] = said(instance, run)
    for word in ["could not be launched", *words]:
        assert word in message
    assert engine.made == []
    assert "docker/container_id" not in again(instance, run).tags
    assert again(instance, run).tags["dagster/will_retry"] == "false"


def test_an_image_that_is_gone_is_named_with_the_way_out(instance: DagsterInstance) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    launch: Callable[..., None] = Launches(engine, instance).launch
    launcher(instance, engine)._try_until_given_up(launch, run, "s/elt:gone", ["true"])
    [message] = said(instance, run)
    assert "s/elt:gone" in message
    assert "Launch the job again" in message
    assert engine.made == []


def test_a_location_without_a_service_is_named(instance: DagsterInstance) -> None:
    engine = StandIn()
    run = a_run(instance, DagsterRunStatus.STARTING)
    engine.service_containers = lambda _location: []  # type: ignore[method-assign]
    launched(instance, engine, run)
    [message] = said(instance, run)
    assert "Code location 'elt' has no service container in Compose project 's'" in message
