"""Schedules run by themselves, and what their runs wrote outlives their containers."""

from __future__ import annotations

import pytest

from harness import Stack, until
from runs import Run, runs_of, tagged


@pytest.mark.late
def test_a_tick_runs_in_a_container_of_its_own(stack: Stack) -> None:
    def newest_run() -> Run:
        # Other scenarios press Launch for its job.
        runs = tagged(stack, {"dagster/schedule_name": "tick_schedule"})
        assert runs, "no tick yet"
        # Containers of older runs may have been removed already.
        assert runs[0].tags.get("docker/container_id") in stack.run_containers()
        return runs[0]

    run = until(newest_run, seconds=120, every=1)
    run.wait()
    container = run.container
    assert container["Config"]["Labels"]["dagster/run_id"] == run.id
    # Compose must not take it for one of its own, which it might stop or remove.
    composes = {k: v for k, v in container["Config"]["Labels"].items() if "docker.compose" in k}
    assert set(composes.values()) == {""}
    others = [other for other in runs_of(stack, "tick_job") if other.id != run.id]
    assert container["Id"] not in [other.tags.get("docker/container_id") for other in others]

    stack.run("docker", "rm", "--force", container["Id"])
    assert run.stdout() == f"hello from run {run.id}\n"


@pytest.mark.late
def test_ticks_went_on_after_the_services_were_stopped(stack: Stack) -> None:
    since = stack.moments.get("started again", 0)

    def ticked() -> None:
        tick = runs_of(stack, "tick_job")[0]
        assert tick.tags.get("dagster/schedule_name")
        # None until the run has begun.
        began = tick.get()["startTime"]
        assert began is not None and began > since

    # At once, but where this test follows the restart directly.
    until(ticked, seconds=120, every=1)


def test_every_schedule_of_the_product_runs_from_first_boot(stack: Stack) -> None:
    answer = stack.ask(
        """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
        ... on RepositoryLocation { repositories { schedules {
          name cronSchedule executionTimezone scheduleState { status nextTick { timestamp } }
        } } } } } } } }"""
    )
    found = {
        schedule["name"]: (schedule["cronSchedule"], schedule["executionTimezone"])
        for entry in answer["workspaceOrError"]["locationEntries"]
        for repository in entry["locationOrLoadError"]["repositories"]
        for schedule in repository["schedules"]
        if schedule["scheduleState"]["status"] == "RUNNING"
        and schedule["scheduleState"]["nextTick"]
    }
    found.pop("tick_schedule")
    assert found == {
        "clean_up_rejected_rows_job_schedule": ("0 3 * * 0", "UTC"),
        "sync_tables_job_schedule": ("0 0 * * *", "UTC"),
        "sync_users_job_schedule": ("0 12 * * *", "UTC"),
        "regenerate_analytics_job_schedule": ("0 * * * *", "UTC"),
    }
