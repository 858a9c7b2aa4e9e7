"""A code location for tests alone: what the product's own locations must not be made to do."""

import os
import pathlib
import time

import dagster as dg


@dg.op
def say_hello(context: dg.OpExecutionContext) -> None:
    """Writes to stdout, which must be readable after the container is gone."""
    print(f"hello from run {context.run_id}", flush=True)


@dg.job
def tick_job() -> None:
    """One line of output."""
    say_hello()


tick_schedule = dg.ScheduleDefinition(
    name="tick_schedule",
    job=tick_job,
    cron_schedule="* * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


@dg.op
def hang(context: dg.OpExecutionContext) -> None:
    """Runs until it is told to end; leaves a mark that it ran."""
    context.log.info("hanging")
    while True:
        time.sleep(0.2)


@dg.job
def hanging_job() -> None:
    """Never ends by itself."""
    hang()


@dg.op
def look_around(context: dg.OpExecutionContext) -> None:
    """Reports what a run can see of its container."""
    context.log_event(
        dg.AssetObservation(
            asset_key="container",
            metadata={
                "uid": os.getuid(),
                "secrets": sorted(p.name for p in pathlib.Path("/run/secrets").iterdir()),
                "variables": sorted(os.environ),
            },
        )
    )


@dg.job
def look_around_job() -> None:
    """What is in a run's container."""
    look_around()


defs = dg.Definitions(
    jobs=[tick_job, hanging_job, look_around_job],
    schedules=[tick_schedule],
    executor=dg.in_process_executor,
)
