"""Definitions for tests alone, copied into the checkout under test: never part of the product."""

import time

import dagster as dg


@dg.op
def tick() -> None:
    print("tick")


@dg.job
def tick_job() -> None:
    tick()


tick_job_schedule = dg.ScheduleDefinition(
    job=tick_job,
    cron_schedule="* * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


@dg.op
def hang() -> None:
    time.sleep(3600)


@dg.job
def hang_job() -> None:
    hang()
