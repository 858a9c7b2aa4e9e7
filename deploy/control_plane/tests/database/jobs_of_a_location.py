"""Jobs that make a run worker use all of Dagster's storage that it ever writes to."""

import time
from types import SimpleNamespace
from typing import Any

import dagster as dg
import dagster_postgres.utils

regions = dg.DynamicPartitionsDefinition(name="regions")


@dg.op
def nothing() -> None:
    pass


@dg.op
def fails() -> None:
    raise RuntimeError("on purpose")


@dg.op(retry_policy=dg.RetryPolicy(max_retries=2))
def succeeds_at_the_second_try(context: dg.OpExecutionContext) -> None:
    if context.retry_number == 0:
        raise RuntimeError("the first time")


@dg.op(pool="root_pool")
def first() -> int:
    return 1


@dg.op(pool="second_pool")
def second(context: dg.OpExecutionContext, value: int) -> None:
    context.log.info(f"got {value}")


@dg.op(out=dg.DynamicOut(int))
def many() -> Any:
    for number in range(3):
        yield dg.DynamicOutput(number, str(number))


@dg.op
def each(context: dg.OpExecutionContext, number: int) -> int:
    return number


@dg.op
def says_much(context: dg.OpExecutionContext) -> None:
    """Writes for more than a second, an event at a time."""
    for number in range(60):
        context.log.info(f"number {number}")
        time.sleep(0.02)


@dg.job
def talking() -> None:
    says_much()


@dg.op
def says_much_apart() -> None:
    """In a process of its own, where the test cannot shorten Dagster's twelve seconds of tries."""
    dagster_postgres.utils.time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 12))
    for number in range(60):
        dg.OpExecutionContext.get().log.info(f"number {number}")
        time.sleep(0.02)


@dg.job(executor_def=dg.multiprocess_executor)
def talking_apart() -> None:
    says_much_apart()


@dg.job
def plain() -> None:
    nothing()


@dg.job
def failing() -> None:
    fails()


@dg.job
def retrying() -> None:
    succeeds_at_the_second_try()


@dg.job
def pooled() -> None:
    second(first())


@dg.job
def mapped() -> None:
    many().map(each)


@dg.op
def uses_the_instance(context: dg.OpExecutionContext) -> None:
    """What user code does with the instance, of what the documentation shows."""
    instance = context.instance
    instance.add_dynamic_partitions("regions", ["north", "south"])
    instance.delete_dynamic_partition("regions", "south")
    instance.add_run_tags(context.run_id, {"rows": "12", "note": "ünï"})
    instance.add_run_tags(context.run_id, {"rows": "13"})
    instance.report_runless_asset_event(dg.AssetObservation("seen", tags={"by": "hand"}))
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(asset_key=dg.AssetKey("seen"), check_name="good", passed=True)
    )
    context.log_event(
        dg.AssetMaterialization("logged", metadata={"rows": 3}, tags={"dagster/data_version": "7"})
    )
    # Texts that Python writes as JSON and Postgres does not read.
    context.log.warning("a \x00 in a message, and \U0001f600, and half of one: \ud83d")
    infinite = {"nan": float("nan"), "most": float("inf"), "least": float("-inf")}
    context.log_event(dg.AssetMaterialization("numbers", metadata=infinite))


@dg.job
def instance_user() -> None:
    uses_the_instance()


@dg.asset(code_version="1", check_specs=[dg.AssetCheckSpec("not_empty", asset="orders")])
def orders(context: dg.AssetExecutionContext) -> Any:
    yield dg.MaterializeResult(metadata={"rows": 3}, tags={"team": "elt"})
    yield dg.AssetCheckResult(passed=True)


@dg.asset(deps=[orders], pool="asset_pool")
def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    versions = context.instance.get_latest_data_version_record(dg.AssetKey("orders"))
    assert versions is not None
    return dg.MaterializeResult(data_version=dg.DataVersion("2"))


@dg.asset_check(asset=orders)
def recent() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def parts() -> None:
    pass


assets_job = dg.define_asset_job("assets_job", selection=[orders, report])
parts_job = dg.define_asset_job("parts_job", selection=[parts])

definitions = dg.Definitions(
    jobs=[
        *(plain, talking, talking_apart, failing, retrying, pooled, mapped, instance_user),
        *(assets_job, parts_job),
    ],
    assets=[orders, report, parts],
    asset_checks=[recent],
    # A step's own process runs the same statements, seconds later.
    executor=dg.in_process_executor,
)
