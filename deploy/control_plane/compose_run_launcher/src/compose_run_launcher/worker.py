"""The program of a run container. The launcher sends this file's text along with its command.

It runs in the image of a code location, of whatever release, so it imports nothing but Dagster
and the standard library. Its one argument is an order: JSON with ``instance``, a serialized
``InstanceRef``, and either ``run_id``, the run to execute now, or ``ticket``: then it imports
what a run will need, writes ``READY`` to its output, and waits for SIGUSR1. The run that carries
its ticket by then as a tag is its own. It executes one run and ends.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

READY = "standby worker: ready"
# Of the kind that the user interface does not show.
TICKET_TAG = ".dagster/standby_ticket"


def main(order: Mapping[str, Any]) -> int:
    """Execute the order's run, or the one that is handed over; the exit code."""
    run_id = order.get("run_id")
    if run_id is None:
        # Blocked from the first moment, a signal waits instead of ending the process.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    # Importing makes hundreds of thousands of objects and no garbage: 15 % of the CPU time.
    gc.disable()
    import_dagster()
    instance = open_instance(order["instance"])
    if run_id is None:
        warm_up(instance, order["pointers"])
    # What was imported stays to the end.
    gc.freeze()
    gc.enable()
    if run_id is None:
        run_id = wait_for_run(instance, order["ticket"], order["max_idle_s"])
        if run_id is None:
            return 0
    return execute(instance, run_id)


def import_dagster() -> None:
    """Import what every run imports sooner or later."""
    for name in ("dagster", "dagster._cli.api"):
        importlib.import_module(name)
    plugins = importlib.import_module("dagster.components.core.package_entry")

    # Loading a `defs` folder describes every component type of every installed package for the
    # user interface: a quarter of the CPU time that a location's import takes. A code server
    # needs the description, a run does not.
    if hasattr(plugins, "discover_entry_point_package_objects"):
        setattr(plugins, "discover_entry_point_package_objects", dict)  # noqa: B010


def open_instance(ref: str) -> Any:
    """The instance, which keeps its database connections instead of making one per query."""
    from dagster._core.instance import DagsterInstance, InstanceRef
    from dagster._serdes import deserialize_value

    instance = DagsterInstance.from_ref(deserialize_value(ref, InstanceRef))
    # Made for the webserver and just as true here. No limit on how long a statement takes.
    instance.optimize_for_webserver(statement_timeout=0, pool_recycle=-1, max_overflow=20)
    # Dagster looks at its tables' columns before many queries, a fifth of the time that a trivial
    # run takes; they stay the same for a run's life.
    for storage, question in (
        (instance.run_storage, "has_run_stats_index_cols"),
        (instance.event_log_storage, "has_asset_key_col"),
    ):
        setattr(storage, question, functools.cache(getattr(storage, question)))
    return instance


def warm_up(instance: Any, pointers: list[str]) -> None:
    """Import the location's definitions, and do once what is slow the first time."""
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._serdes import deserialize_value

    for serialized in pointers:
        pointer: Any = deserialize_value(serialized)
        ReconstructableRepository(pointer).get_definition()
    rehearse()
    instance.compute_log_manager  # noqa: B018  # Loads it.
    instance.get_runs(limit=1)
    release_connections(instance)


def rehearse() -> None:
    """Execute a job of nothing, in memory: it imports and builds what a run uses."""
    import dagster as dg

    @dg.op
    def nothing() -> None:
        pass

    @dg.job
    def rehearsal() -> None:
        nothing()

    # Not in the log that will be the run's.
    logging.disable()
    with dg.DagsterInstance.ephemeral() as memory:
        rehearsal.execute_in_process(instance=memory)
    logging.disable(logging.NOTSET)


def release_connections(instance: Any) -> None:
    """An idle worker holds no connection: the database may be restarted meanwhile."""
    for connect in (instance.run_storage.connect, instance.event_log_storage.index_connection):
        with connect() as connection:
            engine = connection.engine
        engine.dispose()


def wait_for_run(instance: Any, ticket: str, max_idle_s: float) -> str | None:
    """The id of the run that is handed over; None when none came for so long."""
    from dagster import RunsFilter

    print(READY, flush=True)
    while signal.sigtimedwait({signal.SIGUSR1}, max_idle_s) is not None:
        runs = instance.get_runs(RunsFilter(tags={TICKET_TAG: ticket}), limit=1)
        if runs:
            # A handover that is repeated, because its answer was lost, finds this one under way.
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
            os.environ["DAGSTER_RUN_JOB_NAME"] = runs[0].job_name
            return str(runs[0].run_id)
    print("standby worker: not needed", flush=True)
    return None


def execute(instance: Any, run_id: str) -> int:
    """What ``dagster api execute_run`` does."""
    api = importlib.import_module("dagster._cli.api")
    from dagster._utils.interrupts import capture_interrupts

    with capture_interrupts(), instance:
        code: int = api._execute_run_command_body(
            run_id, instance, lambda _event: None, set_exit_code_on_failure=False
        )
    return code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
