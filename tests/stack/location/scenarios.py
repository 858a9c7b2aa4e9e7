"""A code location for tests alone: what the product's own locations must not be made to do."""

import atexit
import datetime
import os
import pathlib
import signal
import time
import uuid

import dagster as dg
import psycopg2
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset

# A module that the code server loads and a run of this job does not.
if os.environ.get("DAGSTER_RUN_JOB_NAME") == "import_fails_job":
    raise ImportError("no flux capacitor in this container")
if os.environ.get("DAGSTER_RUN_JOB_NAME") == "import_hangs_job":
    print("importing for ever", flush=True)
    time.sleep(3600)


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


@dg.op(config_schema={"attempts_that_hang": int})
def hang_at_first(context: dg.OpExecutionContext) -> None:
    """Hangs, but for retries from a number on."""
    attempt = int(context.run.tags.get("dagster/retry_number", "0"))
    while attempt < context.op_config["attempts_that_hang"]:
        time.sleep(0.2)


@dg.job
def vanishing_job() -> None:
    """Something for a worker to vanish in the middle of."""
    hang_at_first()


@dg.op
def take_time() -> None:
    """Long enough for others to find it under way."""
    time.sleep(20)


@dg.job
def slow_job() -> None:
    """Ends by itself, after a while."""
    take_time()


@dg.op
def flood() -> None:
    """More than what the tests let a location's step logs take."""
    for _ in range(80):
        print("x" * 1_000_000, flush=True)
    time.sleep(600)


@dg.job
def flood_job() -> None:
    """Would fill the disk."""
    flood()


@dg.op
def linger() -> None:
    """Keeps the process alive after its run has ended."""
    atexit.register(time.sleep, 60)


@dg.job
def lingering_job() -> None:
    """A run that ends well before its process does."""
    linger()


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


@dg.op(config_schema={"code": int})
def leave(context: dg.OpExecutionContext) -> None:
    """Ends the process in the middle of its run; with code 137 by SIGKILL."""
    print("leaving now", flush=True)
    code = context.op_config["code"]
    if code == 137:
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(code)


@dg.job
def leave_job() -> None:
    """A process that just ends."""
    leave()


@dg.op
def eat_memory() -> None:
    """Takes memory until somebody minds."""
    hoard = []
    while True:
        hoard.append(b"x" * 2**24)


@dg.job
def eat_memory_job() -> None:
    """Ends at its memory limit."""
    eat_memory()


@dg.job
def import_fails_job() -> None:
    """Cannot even be imported in its container."""
    say_hello()


@dg.job
def import_hangs_job() -> None:
    """Is never done with importing in its container."""
    say_hello()


@dg.job
def stillborn_job() -> None:
    """Its process ends before it imports anything (sitecustomize.py)."""
    say_hello()


@dg.op(config_schema={"seconds": int})
def mark_time(context: dg.OpExecutionContext) -> None:
    """Says each second how many have passed."""
    began = time.monotonic()
    for second in range(1, context.op_config["seconds"] + 1):
        time.sleep(max(0, began + second - time.monotonic()))
        context.log.info(f"second {second}")


@dg.job
def mark_time_job() -> None:
    """Runs for as long as it is told."""
    mark_time()


def in_warehouse(statement: str, *values: str) -> None:
    """Execute it, once the database is there; for statements that may be repeated."""
    deadline = time.monotonic() + 120
    while True:
        try:
            with psycopg2.connect(
                host=os.environ["WAREHOUSE_HOST"],
                dbname="warehouse",
                user=os.environ["DAGSTER_POSTGRES_USER"],
                password=os.environ["DAGSTER_POSTGRES_PASSWORD"],
            ) as connection:
                connection.cursor().execute(statement, values)
            return
        # The second: what was lost cannot be rolled back either.
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


@dg.op
def leave_mark(context: dg.OpExecutionContext, after: int = 0) -> int:
    """Takes a second, and leaves one row per execution, whatever is restarted meanwhile."""
    execution = uuid.uuid4().hex
    root = context.run.root_run_id or context.run_id
    in_warehouse(
        "INSERT INTO chaos.marks (execution, run_id, root_run_id, step) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        *(execution, context.run_id, root, context.op_handle.name),
    )
    time.sleep(1)
    in_warehouse(
        "UPDATE chaos.marks SET ended = coalesce(ended, clock_timestamp()) WHERE execution = %s",
        execution,
    )
    return after + 1


@dg.job
def marks_job() -> None:
    """Three steps, each of which can be counted."""
    leave_mark.alias("third")(leave_mark.alias("second")(leave_mark.alias("first")()))


# The shortest window that there is.
@dg.asset(freshness_policy=dg.FreshnessPolicy.time_window(datetime.timedelta(seconds=60)))
def soon_stale() -> None:
    """Nobody materializes it again."""


# Another location's asset, as one that somebody else makes.
foreign_asset = dg.AssetSpec("my_analytics_asset")


@dg.sensor(asset_selection=dg.AssetSelection.assets("my_analytics_asset"))
def reaching_sensor() -> dg.RunRequest:
    """Asks for a backfill of another location's asset."""
    return dg.RunRequest(
        asset_graph_subset=AssetGraphSubset(non_partitioned_asset_keys={foreign_asset.key})
    )


@dg.sensor(job=tick_job)
def honest_sensor() -> dg.RunRequest:
    """Asks for a run of its own, once."""
    return dg.RunRequest(run_key="once", tags={"dagster/image": "other", "team": "scenarios"})


@dg.sensor(job=tick_job)
def refusing_sensor() -> None:
    """Fails at each tick."""
    raise ValueError("the partner says no")


# One location of the two is enough.
first = os.environ["DAGSTER_LOCATION_NAME"] == "scenarios"

defs = dg.Definitions(
    assets=[soon_stale, foreign_asset] if first else [],
    jobs=[
        tick_job,
        hanging_job,
        look_around_job,
        leave_job,
        eat_memory_job,
        flood_job,
        import_fails_job,
        import_hangs_job,
        lingering_job,
        mark_time_job,
        marks_job,
        slow_job,
        stillborn_job,
        vanishing_job,
    ],
    schedules=[tick_schedule] if first and os.environ.get("TICKS") != "no" else [],
    sensors=[reaching_sensor, honest_sensor, refusing_sensor] if first else [],
    executor=dg.in_process_executor,
)
