"""Assets of each kind whose history a page shows."""

from datetime import timedelta
from typing import Any

import dagster as dg

letters = dg.StaticPartitionsDefinition(["a", "b", "c", "d"])
grid = dg.MultiPartitionsDefinition(
    {"letter": letters, "number": dg.StaticPartitionsDefinition(["1", "2"])}
)
names = dg.DynamicPartitionsDefinition(name="names")


@dg.asset(code_version="1", freshness_policy=dg.FreshnessPolicy.time_window(timedelta(days=1)))
def source() -> dg.MaterializeResult:
    """The same data each time."""
    return dg.MaterializeResult(data_version=dg.DataVersion("same"), metadata={"rows": 3})


@dg.asset(deps=[source], freshness_policy=dg.FreshnessPolicy.time_window(timedelta(days=1)))
def derived(context: dg.AssetExecutionContext) -> None:
    context.log.info("a line of its log")


@dg.asset_check(asset=source)
def passes() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"rows": 3})


@dg.asset_check(asset=source)
def raises_when_told(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    if context.run.tags.get("fail"):
        raise RuntimeError("on purpose")
    return dg.AssetCheckResult(passed=True)


@dg.asset(partitions_def=letters)
def upstream(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    if context.run.tags.get("fail"):
        raise RuntimeError("on purpose")
    version = context.partition_key + context.run.tags.get("version", "")
    return dg.MaterializeResult(data_version=dg.DataVersion(version))


@dg.asset(partitions_def=letters, deps=[upstream])
def downstream() -> None:
    pass


@dg.asset(partitions_def=grid)
def gridded() -> None:
    pass


@dg.asset(partitions_def=names)
def named() -> None:
    pass


@dg.observable_source_asset
def observed() -> dg.DataVersion:
    return dg.DataVersion("seen")


@dg.op
def speaks(context: dg.OpExecutionContext) -> None:
    for number in range(5):
        context.log.info(f"line {number}")


@dg.job
def plain() -> None:
    speaks()


history: Any = dg.Definitions(
    assets=[source, derived, upstream, downstream, gridded, named, observed],
    asset_checks=[passes, raises_when_told],
    jobs=[plain],
)
