"""Runs are handed to standby workers, which are run containers like any other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness import Stack, until
from runs import ONCE, Run, launch
from standby_pool import handed_over, pool, pool_is_full


def test_a_run_gets_a_worker_of_its_own_and_the_pool_another_one(stack: Stack) -> None:
    before = pool_is_full(stack)
    run = launch(stack, "ready", "tick_job")
    run.wait()
    container = run.container
    assert container["Id"] in before
    assert container["Name"] == f"/{stack.project}-run-{run.id}"
    assert handed_over(run)
    # Output is kept as any run's.
    assert run.stdout() == f"hello from run {run.id}\n"

    def over() -> None:
        assert run.container["State"]["Status"] == "exited"

    until(over, seconds=15)
    assert run.container["State"]["ExitCode"] == 0
    after = pool_is_full(stack)
    assert container["Id"] not in after
    assert len(after) == 2


def test_the_worker_is_the_same_copy_of_the_service(stack: Stack) -> None:
    """What a cold run container of the same code is, in every point but its name and command."""
    pool_is_full(stack)
    warm, cold = (launch(stack, name, "look_around_job") for name in ("ready", "scenarios"))
    seen = {}
    for run in (warm, cold):
        run.wait()
        container = run.container
        seen[run.id] = (
            # But for its secrets: each location has a password of its own.
            {k: v for k, v in look(run).items() if k != "secrets"},
            # Mounts are in any order here; they are compared below.
            {k: v for k, v in container["HostConfig"].items() if k != "Mounts"},
            sorted(container["NetworkSettings"]["Networks"]),
            sorted((m["Destination"], m["RW"]) for m in container["Mounts"]),
            {k: container["Config"][k] for k in ("User", "Image", "Entrypoint", "StopTimeout")},
        )
    assert handed_over(warm) and not handed_over(cold)
    # A location that wants no workers has none.
    assert pool(stack, "scenarios") == []
    assert "Starting the run in container" in cold.text()
    # The job is known to the code that runs, although the worker waited for any.
    assert "DAGSTER_RUN_JOB_NAME" in seen[warm.id][0]["variables"]
    for mine, other in zip(seen[warm.id], seen[cold.id], strict=True):
        if isinstance(mine, dict) and isinstance(other, dict):
            assert {k: v for k, v in mine.items() if other.get(k) != v} == {}
        assert mine == other


def look(run: Run) -> dict[str, Any]:
    """What the run saw of its container."""
    answer = run.stack.ask(
        """query Seen($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
          ... on ObservationEvent { metadataEntries { label
            ... on JsonMetadataEntry { jsonString } ... on IntMetadataEntry { intValue } } }
        } } } }""",
        id=run.id,
    )
    entries = [
        entry
        for event in answer["logsForRun"]["events"]
        for entry in event.get("metadataEntries", [])
    ]
    seen = {e["label"]: e.get("intValue", e.get("jsonString")) for e in entries}
    return {**seen, "variables": sorted(json.loads(seen["variables"]))}


def test_limits_are_applied_as_it_is_handed_over(stack: Stack) -> None:
    pool_is_full(stack)
    tags = {"docker/memory": "300m", "docker/cpus": "0.5"}
    run = launch(stack, "ready", "tick_job", tags=tags)
    run.wait()
    assert handed_over(run)
    assert "memory 300 MiB, CPUs 0.5" in run.text()
    host = run.container["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (300 * 2**20, 500_000_000)
    assert (host["CpuShares"], host["OomScoreAdj"]) == (512, 500)


def test_more_memory_than_the_tag_allows(stack: Stack) -> None:
    pool_is_full(stack)
    run = launch(stack, "ready", "eat_memory_job", tags={"docker/memory": "250m"})
    run.wait("FAILURE")
    assert handed_over(run)
    assert "more memory than its limit" in run.text()
    assert "memory limit 250 MiB" in run.text()


@pytest.mark.long
def test_less_memory_than_a_worker_has_taken_already_starts_cold(stack: Stack) -> None:
    """The engine refuses the limit; what happens to the run is what happens to it anywhere."""
    pool_is_full(stack)
    run = launch(stack, "ready", "tick_job", tags={"docker/memory": "30m"})
    run.wait("FAILURE")
    assert "killed for memory: yes" in run.text()
    assert "memory limit 30 MiB" in run.text()
    assert len([e for e in run.events() if e["__typename"] == "RunFailureEvent"]) == 1


def test_terminate(stack: Stack) -> None:
    pool_is_full(stack)
    run = launch(stack, "ready", "hanging_job")

    def hangs() -> None:
        assert "hanging" in run.text()

    until(hangs, seconds=30)
    assert handed_over(run)
    run.terminate()
    run.wait("CANCELED", seconds=30)

    def stopped() -> None:
        assert not run.container["State"]["Running"]

    until(stopped, seconds=15)


@pytest.mark.parametrize("code", [pytest.param(3, marks=pytest.mark.long), 137])
def test_an_end_is_explained(stack: Stack, code: int) -> None:
    pool_is_full(stack)
    config = {"ops": {"leave": {"config": {"code": code}}}}
    run = launch(stack, "ready", "leave_job", config, tags=ONCE)
    run.wait("FAILURE")
    assert handed_over(run)
    failures = [e for e in run.events() if e["__typename"] == "RunFailureEvent"]
    assert len(failures) == 1
    for word in (f"exit code {code}", "leaving now", "memory limit 512 MiB"):
        assert word in failures[0]["message"]
