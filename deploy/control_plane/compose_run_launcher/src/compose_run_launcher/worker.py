"""The program of a run container. The launcher sends this file's text along with its command.

It runs in the image of a code location, of whatever release, so it imports nothing but Dagster
and the standard library. Its one argument is an order: JSON with ``instance``, a serialized
``InstanceRef``; ``location`` and ``pointers``, the code location and the serialized code pointers
that it may execute; and either ``run_id``, the run to execute now, or ``ticket`` and ``key``: then
it imports what a run will need, writes ``READY`` to its output, and waits for SIGUSR1. The run
that carries its ticket by then as a tag, with a proof made with its key, is its own. It executes
one run and ends.

What it reads of a run has stood in a database that others can write to. It executes nothing but
its own location's code, and ends with ``REFUSED`` when a run asks for something else.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hmac
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

READY = "standby worker: ready"
# Of the kind that the user interface does not show.
TICKET_TAG = ".dagster/standby_ticket"
PROOF_TAG = ".dagster/standby_proof"
# EX_NOPERM: the run is none that this worker may execute.
REFUSED = 77
# Copies of a ticket that are looked at; there is one, unless somebody makes more.
_MOST_COPIES = 10


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
        run_id = wait_for_run(instance, order["ticket"], order["key"], order["max_idle_s"])
        if run_id is None:
            return 0
    return execute(instance, run_id, order["location"], order["pointers"])


def handover_tags(ticket: str, key: str, run_id: str) -> dict[str, str]:
    """The tags by which the worker with this ticket and key knows its run.

    Whoever reads the ticket can copy it to another run. The proof fits one run, and can be made
    by the launcher and this worker alone: the key stands in the worker's command, and nowhere
    in the database.
    """
    proof = hmac.new(key.encode(), run_id.encode(), "sha256").hexdigest()
    return {TICKET_TAG: ticket, PROOF_TAG: proof}


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


def wait_for_run(instance: Any, ticket: str, key: str, max_idle_s: float) -> str | None:
    """The id of the run that is handed over; None when none came for so long."""
    print(READY, flush=True)
    while signal.sigtimedwait({signal.SIGUSR1}, max_idle_s) is not None:
        run = handed_over(instance, ticket, key)
        if run is not None:
            # A handover that is repeated, because its answer was lost, finds this one under way.
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
            os.environ["DAGSTER_RUN_JOB_NAME"] = run.job_name
            return str(run.run_id)
    print("standby worker: not needed", flush=True)
    return None


def handed_over(instance: Any, ticket: str, key: str) -> Any:
    """The run that carries the ticket and its proof; None without one."""
    from dagster import RunsFilter

    for run in instance.get_runs(RunsFilter(tags={TICKET_TAG: ticket}), limit=_MOST_COPIES):
        proof = handover_tags(ticket, key, run.run_id)[PROOF_TAG]
        if hmac.compare_digest(run.tags.get(PROOF_TAG, "").encode(), proof.encode()):
            return run
        print(f"standby worker: run {run.run_id} carries my ticket without proof", flush=True)
    return None


def execute(instance: Any, run_id: str, location: str, pointers: Sequence[str]) -> int:
    """What ``dagster api execute_run`` does, for a run of this location; REFUSED for another."""
    api = importlib.import_module("dagster._cli.api")
    from dagster._utils.interrupts import capture_interrupts

    core_execute_run = api.core_execute_run
    refused: list[str] = []

    def execute_own(job: Any, run: Any, *rest: Any, **named: Any) -> Any:
        # Here, because this is the row as Dagster has read it, and the job that it made of it.
        why = foreign(run, location, pointers)
        if why is None:
            return core_execute_run(job, run, *rest, **named)
        refused.append(why)
        refuse(instance, run, why)
        return iter(())

    api.core_execute_run = execute_own  # type: ignore[attr-defined]
    with capture_interrupts(), instance:
        code: int = api._execute_run_command_body(
            run_id, instance, lambda _event: None, set_exit_code_on_failure=False
        )
    return REFUSED if refused else code


def foreign(run: Any, location: str, pointers: Sequence[str]) -> str | None:
    """Why the run is none of this location's; None when it is."""
    from dagster._serdes import deserialize_value

    origin = run.remote_job_origin
    its_location = origin.location_name if origin else None
    if its_location != location:
        return f"run {run.run_id} is of location {its_location}, this worker is of {location}"
    pointer = run.job_code_origin.repository_origin.code_pointer
    # Tuples of different classes can be equal.
    own: list[Any] = [deserialize_value(serialized) for serialized in pointers]
    if not any(type(pointer) is type(one) and pointer == one for one in own):
        known = " or ".join(one.describe() for one in own)
        return f"run {run.run_id}: its code pointer is {pointer!r:.200}, this worker has {known}"
    return None


def refuse(instance: Any, run: Any, why: str) -> None:
    """Say it where people look; the run's events may be out of reach of this location's role."""
    print(f"refused: {why}", file=sys.stderr, flush=True)
    with contextlib.suppress(Exception):
        instance.report_engine_event(f"The worker refused the run: {why}.", run)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
