"""What a synthetic code location has: assets in chains, a job that does nothing, a tick a minute.

One image serves all of them: the service says which location it is, and how many assets it has.
"""

import os

import dagster as dg

LOCATION = os.environ["DAGSTER_LOCATION_NAME"]
# Ten chains, as deep as it takes.
CHAINS = 10


def _asset(number: int) -> dg.AssetsDefinition:
    upstream = number - CHAINS

    @dg.asset(
        name=f"{LOCATION}_{number:04}",
        group_name=LOCATION,
        deps=[f"{LOCATION}_{upstream:04}"] if upstream >= 0 else [],
        description="A synthetic asset, which does nothing.",
        metadata={"dagster/table_name": f"{LOCATION}.table_{number:04}"},
    )
    def asset() -> None: ...

    return asset


@dg.op
def nothing() -> None:
    """Does nothing."""


@dg.job
def trivial_job() -> None:
    """One op."""
    nothing()


@dg.schedule(cron_schedule="* * * * *", job=trivial_job, execution_timezone="UTC")
def tick() -> dg.SkipReason:
    """Ticks each minute and starts no run."""
    return dg.SkipReason("only the tick counts")


@dg.definitions
def synthetic() -> dg.Definitions:
    return dg.Definitions(
        assets=[_asset(number) for number in range(int(os.environ["SYNTHETIC_ASSETS"]))],
        jobs=[trivial_job],
        schedules=[tick],
    )
