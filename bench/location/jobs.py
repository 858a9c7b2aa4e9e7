"""Jobs that do nothing, for measuring what surrounds them."""

import dagster as dg


@dg.op(out=dg.Out(dg.Nothing))
def first() -> None:
    """Does nothing."""


@dg.op(ins={"start": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def following() -> None:
    """Does nothing, after another one."""


@dg.job
def one_op_job() -> None:
    """One op."""
    first()


@dg.job
def four_op_job() -> None:
    """Four ops in a row."""
    following.alias("fourth")(following.alias("third")(following.alias("second")(first())))


EVENTS = 10_000


@dg.op
def many_events(context: dg.OpExecutionContext) -> None:
    """Writes a log message as often as the size of the measurement says."""
    for number in range(EVENTS):
        context.log.info(f"message {number}")


@dg.job
def events_job() -> None:
    """One op with many events."""
    many_events()
