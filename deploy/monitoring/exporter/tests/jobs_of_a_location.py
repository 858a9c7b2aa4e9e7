"""What the runs of these tests execute."""

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    Definitions,
    MaterializeResult,
    asset,
    asset_check,
    in_process_executor,
    job,
    op,
)


@op
def one() -> None:
    pass


@op
def broken() -> None:
    raise ValueError("of the test")


@job(executor_def=in_process_executor)
def plain() -> None:
    one()


@job(executor_def=in_process_executor)
def failing() -> None:
    broken()


@asset
def table(context: AssetExecutionContext) -> MaterializeResult[None]:
    return MaterializeResult()


@asset_check(asset=table)
def has_rows() -> AssetCheckResult:
    return AssetCheckResult(passed=False)


definitions = Definitions(
    assets=[table], asset_checks=[has_rows], jobs=[plain, failing], executor=in_process_executor
)
