"""Twenty assets, one that is partitioned by day, a check and a job: what ran for years."""

from datetime import timedelta

import dagster as dg

days = dg.DailyPartitionsDefinition(start_date="2024-01-01")


def _asset(number: int) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"a{number:02}",
        deps=[f"a{number - 1:02}"] if number else [],
        freshness_policy=dg.FreshnessPolicy.time_window(timedelta(days=1)),
    )
    def one(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        for line in range(8):
            context.log.info(f"step {line} of the work: {line * 1000} rows")
        return dg.MaterializeResult(
            data_version=dg.DataVersion("same"), metadata={"rows": 1000, "file": "s3://bucket/file"}
        )

    return one


@dg.asset(partitions_def=days)
def by_day(context: dg.AssetExecutionContext) -> None:
    for line in range(8):
        context.log.info(f"step {line} of the work: {line * 1000} rows")


@dg.asset_check(asset="a00")
def has_rows() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"rows": 1000})


@dg.op
def speaks(context: dg.OpExecutionContext) -> None:
    for line in range(10):
        context.log.info(f"line {line}")


@dg.job
def plain() -> None:
    speaks()


years = dg.Definitions(
    assets=[*map(_asset, range(20)), by_day], asset_checks=[has_rows], jobs=[plain]
)
