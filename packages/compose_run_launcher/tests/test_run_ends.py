"""How a run ends whose container has ended or could not be made: said once, as what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from dagster import DagsterInstance, DagsterRunStatus
from stand_in import StandIn, a_run, again, fault, launched, launcher, look, refused, said, watch

from compose_run_launcher import labels
from compose_run_launcher.images import ImageUnavailable
from compose_run_launcher.launching import Launches, LaunchRefused
from compose_run_launcher.losses import Fault


@pytest.mark.parametrize(
    ("state", "words", "lost"),
    [
        # Ended from outside.
        ({"ExitCode": 137}, "it was killed (SIGKILL)", True),
        ({"ExitCode": 143}, "it was told to end (SIGTERM)", True),
        ({"ExitCode": 255}, "it ended with Docker Engine or with the host", True),
        ({"ExitCode": 69}, "its worker could not reach Dagster's database", True),
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
def test_an_end_that_comes_from_outside_is_a_loss_and_no_other(
    instance: DagsterInstance, state: dict[str, Any], words: str, lost: bool
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
    assert (fault(instance, run) is Fault.LOST) == lost


def test_a_container_that_was_removed_is_said(instance: DagsterInstance) -> None:
    run = a_run(instance)
    look(instance, StandIn())
    [message] = said(instance, run)
    assert message.startswith("The run's container was removed.")
    assert fault(instance, run) is Fault.LOST


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
    assert watch(instance, engine, []).settle(ended)
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
    assert not watch(instance, engine, launched).settle(worker)
    assert launched == [run.run_id]
    assert again(instance, run).status == DagsterRunStatus.STARTING


@pytest.mark.parametrize(
    ("error", "words", "lost"),
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
def test_a_launch_that_is_refused_is_a_loss_when_that_may_pass(
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    words: str,
    lost: bool,
) -> None:
    def launch(*_: Any) -> None:
        raise error

    monkeypatch.setattr("compose_run_launcher.launcher.stop_after_delay", lambda _: lambda _: True)
    run = a_run(instance, DagsterRunStatus.STARTING)
    launcher(instance, StandIn())._try_until_given_up(launch, run)
    [message] = said(instance, run)
    assert message.startswith("The run could not be launched: ")
    assert words in message
    assert (fault(instance, run) is Fault.LOST) == lost


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
    assert fault(instance, run) is Fault.OWN


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
