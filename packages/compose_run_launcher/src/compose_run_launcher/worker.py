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

An image's Dagster may lack any private name that is used here. What only saves time is left out
then, and said once on stderr. Without one of ``_TO_EXECUTE`` a run is executed by the order's
``otherwise``, Dagster's own command; a standby worker ends before it is ready, and runs start cold.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hmac
import importlib
import inspect
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# All that is private in Dagster here, as `module:name`; seen in 1.13.27.
_EXECUTE = "dagster._cli.api:_execute_run_command_body"
# Called by that with the row as it was read: the last look at what will be executed.
_CORE = "dagster._cli.api:core_execute_run"
_INTERRUPTS = "dagster._utils.interrupts:capture_interrupts"
_FROM_REF = "dagster:DagsterInstance.from_ref"
_REF = "dagster._core.instance:InstanceRef"
_READ = "dagster._serdes:deserialize_value"
_TO_EXECUTE = (_EXECUTE, _CORE, _INTERRUPTS, _FROM_REF, _REF, _READ)
_PLUGINS = "dagster.components.core.package_entry:discover_entry_point_package_objects"
_DEFINITION = "dagster._core.definitions.reconstruct:ReconstructableRepository.get_definition"
# And the same of an instance, by their paths in it.
_KEEP_CONNECTIONS = "optimize_for_webserver"
_QUESTIONS = ("run_storage.has_run_stats_index_cols", "event_log_storage.has_asset_key_col")
_CONNECTS = ("run_storage.connect", "event_log_storage.index_connection")
_LOGS = "compute_log_manager"
_STORAGES = ("run_storage", "event_log_storage", "schedule_storage")
# What makes a repeated write of events the same as one.
_EVENTS = "dagster._core.storage.event_log:SqlEventLogStorageTable"
_WRITE = "dagster._serdes:serialize_value"
# Called with each event of a run.
_NEW_EVENT = "handle_new_event"
# What a process of a step gets from the run's: it opens the instance by itself.
_STEP_PROCESS = "dagster._core.executor.multiprocess:MultiprocessExecutorChildProcessCommand"

# A database that is away for longer is not coming back by a restart.
_AWAY_S = 150.0
_LONGEST_PAUSE_S = 5.0
# Of the server: it shuts down, has crashed, is starting; it has no connection left.
_AWAY_CODES = {"57P01", "57P02", "57P03", "53300"}
# These come without a code, and stay.
_STAY = ("authentication failed", "does not exist", "no pg_hba.conf entry", "permission denied")

READY = "standby worker: ready"
# Of the kind that the user interface does not show.
TICKET_TAG = ".dagster/standby_ticket"
PROOF_TAG = ".dagster/standby_proof"
# The index by which the database refuses the second end of a run.
ONE_END = "one_end_per_run"
# EX_NOPERM: the run is none that this worker may execute.
REFUSED = 77
# EX_UNAVAILABLE: the database was away for longer than a worker waits.
UNREACHABLE = 69
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
    if not can_execute():
        return 1 if run_id is None else otherwise(order["otherwise"])
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
    by the launcher and this worker alone: the key is in the worker's command, and nowhere
    in the database.
    """
    proof = hmac.new(key.encode(), run_id.encode(), "sha256").hexdigest()
    return {TICKET_TAG: ticket, PROOF_TAG: proof}


@functools.cache
def find(path: str) -> Any:
    """What ``module:name.name`` is; None, and said once, in a Dagster that has none."""
    module, _, names = path.partition(":")
    try:
        return functools.reduce(getattr, names.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        return _missed(path, error)


def find_in(instance: Any, path: str) -> Any:
    """The same of an instance."""
    try:
        return functools.reduce(getattr, path.split("."), instance)
    except AttributeError as error:
        return _missed(path, error)


def _missed(path: str, error: Exception) -> None:
    print(f"run worker: this image's Dagster has no {path}: {error}", file=sys.stderr, flush=True)


def _accepts(function: Any, *arguments: Any, **named: Any) -> bool:
    """Whether a private function takes what we would call it with."""
    try:
        inspect.signature(function).bind(*arguments, **named)
    except (TypeError, ValueError) as error:
        print(f"run worker: {function} is another one: {error}", file=sys.stderr, flush=True)
        return False
    return True


def import_dagster() -> None:
    """Import what every run imports sooner or later."""
    importlib.import_module("dagster")
    # Loading a `defs` folder describes every component type of every installed package for the
    # user interface: a quarter of the CPU time that a location's import takes. A code server
    # needs the description, a run does not.
    if find(_PLUGINS) is not None:
        module, _, name = _PLUGINS.partition(":")
        setattr(sys.modules[module], name, dict)


def can_execute() -> bool:
    """Whether this image's Dagster has what executing a run here needs."""
    found = [find(path) for path in _TO_EXECUTE]
    return None not in found and _accepts(
        find(_EXECUTE), "run", "instance", print, set_exit_code_on_failure=False
    )


def otherwise(command: list[str]) -> int:
    """Become Dagster's own command, which is public and as old as run launchers."""
    print("run worker: Dagster's own command executes the run", file=sys.stderr, flush=True)
    os.execvp(command[0], command)


def open_instance(ref: str) -> Any:
    """The instance, which keeps its database connections instead of making one per query."""
    instance = find(_FROM_REF)(find(_READ)(ref, find(_REF)))
    # Made for the webserver and just as true here. No limit on how long a statement takes.
    limits = {"statement_timeout": 0, "pool_recycle": -1, "max_overflow": 20}
    keep = find_in(instance, _KEEP_CONNECTIONS)
    if keep is not None and _accepts(keep, **limits):
        keep(**limits)
    # Dagster looks at its tables' columns before many queries, a fifth of the time that a trivial
    # run takes; they stay the same for a run's life.
    for path in _QUESTIONS:
        storage, _, question = path.partition(".")
        answer = find_in(instance, path)
        if answer is not None:
            setattr(getattr(instance, storage), question, functools.cache(answer))
    repeat_storages(instance)
    end_once(instance)
    repeat_in_step_processes()
    return instance


def repeat_storages(instance: Any) -> None:
    """Let all storage calls of the instance wait for a database that is away."""
    for path in _STORAGES:
        storage = find_in(instance, path)
        if storage is not None:
            repeat_calls(storage)


def repeat_in_step_processes() -> None:
    """Let steps in processes of their own (``multiprocess_executor``) do the same."""
    command = find(_STEP_PROCESS)
    if command is not None:
        command.__getstate__ = lambda self: {**vars(self), "_run_worker": _InStepProcess()}


class _InStepProcess:
    """Read by a step's process, it executes this file there, which that one need not have."""

    def __reduce__(self) -> tuple[Any, ...]:
        text = f"{_own_text()}\nrepeat_of_each_instance()\n"
        return exec, (text, {"__name__": "run_worker"})


def _own_text() -> str:
    if "__file__" in globals():
        return Path(__file__).read_text()
    return sys.orig_argv[sys.orig_argv.index("-c") + 1]


def repeat_of_each_instance() -> None:
    """Let each instance that this process opens from here on wait for its database."""
    from dagster import DagsterInstance

    from_ref = DagsterInstance.from_ref

    def opened(ref: Any) -> Any:
        instance = from_ref(ref)
        repeat_storages(instance)
        return instance

    DagsterInstance.from_ref = staticmethod(opened)  # type: ignore[assignment, method-assign]


def end_once(instance: Any) -> None:
    """Let a second end of a run be said here alone: whoever ended it first has ended it."""
    handle = find_in(instance, _NEW_EVENT)
    if handle is None:
        return

    @functools.wraps(handle)
    def handle_once(event: Any, *rest: Any, **named: Any) -> None:
        try:
            handle(event, *rest, **named)
        except Exception as error:
            if not is_second_end(error):
                raise
            kind = event.dagster_event.event_type_value
            said = f"run {event.run_id} has ended before: {kind} is not recorded"
            print(f"run worker: {said}", file=sys.stderr, flush=True)

    setattr(instance, _NEW_EVENT, handle_once)


def is_second_end(error: BaseException) -> bool:
    """Whether the database refused an event because the run's log holds an end already."""
    refused = getattr(getattr(error, "orig", None), "diag", None)
    return getattr(refused, "constraint_name", None) == ONE_END


def repeat_calls(storage: Any) -> None:
    """Let the storage's calls wait for a database that is away, and be made again.

    An op that runs for an hour must not fail because the database was restarted meanwhile. What
    was written before the answer was lost is not written twice.
    """
    # Whether a thread is within a call: what that calls is made again with it.
    thread = threading.local()

    def repeated(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def patient(*arguments: Any, **named: Any) -> Any:
            if getattr(thread, "within", False):
                return call(*arguments, **named)
            thread.within = True
            try:
                return _until_there(storage, name, call, arguments, named)
            finally:
                thread.within = False

        return patient

    for name, _ in inspect.getmembers(type(storage), inspect.isfunction):
        if not name.startswith("_"):
            setattr(storage, name, repeated(name, getattr(storage, name)))


def _until_there(
    storage: Any,
    name: str,
    call: Callable[..., Any],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
) -> Any:
    # By hand: images of locations need not have a library for it.
    deadline = time.monotonic() + _AWAY_S
    pause = 0.2
    while True:
        try:
            return call(*arguments, **named)
        except Exception as error:
            if not is_away(error):
                raise
            if time.monotonic() > deadline:
                _given_up.append(str(error))
                raise
            what = f"{type(storage).__name__}.{name}: {error}".replace("\n", " ")
            print(f"run worker: waits for the database: {what:.300}", file=sys.stderr, flush=True)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)
        if find(_EVENTS) is None or find(_WRITE) is None:
            continue
        if name == "store_event":
            call = functools.partial(_store_missing, storage)
        elif name == "store_event_batch":
            call = functools.partial(_store_all_missing, storage)


def is_away(error: BaseException | None) -> bool:
    """Whether the error, or one that it comes from, says that the database cannot be reached."""
    from sqlalchemy import exc

    while error is not None:
        if isinstance(error, exc.OperationalError | exc.InterfaceError):
            code = getattr(error.orig, "pgcode", None)
            stays = any(words in str(error.orig) for words in _STAY)
            return error.connection_invalidated or (
                code in _AWAY_CODES or (code is None and not stays)
            )
        error = error.__cause__
    return False


# Why a call was not repeated any more: the process tells by its exit code.
_given_up: list[str] = []


class _Stored:
    """In the place of the statement that inserts an event: finds the one that is there."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def returning(self, *columns: Any) -> Any:
        from sqlalchemy import select

        return select(*columns).where(self._row).limit(1)


def _store_missing(storage: Any, event: Any) -> None:
    """Store an event; or, of one that is stored already, what belongs to it."""
    from sqlalchemy import select

    table = find(_EVENTS).c
    same = (table.run_id == event.run_id) & (table.event == find(_WRITE)(event))
    with storage.run_connection(event.run_id) as connection:
        stored = connection.execute(select(table.id).where(same)).first() is not None
    prepare = storage.prepare_insert_event
    if stored:
        storage.prepare_insert_event = lambda _event: _Stored(same)
    try:
        storage.store_event(event)
    finally:
        storage.prepare_insert_event = prepare


def _store_all_missing(storage: Any, events: Sequence[Any]) -> None:
    for event in events:
        _store_missing(storage, event)


def warm_up(instance: Any, pointers: list[str]) -> None:
    """Import the location's definitions, and do once what is slow the first time."""
    if find(_DEFINITION) is not None:
        for serialized in pointers:
            repository = find(_DEFINITION.rpartition(".")[0])
            repository(find(_READ)(serialized)).get_definition()
    rehearse()
    find_in(instance, _LOGS)  # Loads it.
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
    for path in _CONNECTS:
        connect = find_in(instance, path)
        if connect is not None:
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
    core_execute_run = find(_CORE)
    refused: list[str] = []

    def execute_own(job: Any, run: Any, *rest: Any, **named: Any) -> Any:
        # Here, because this is the row as Dagster has read it, and the job that it made of it.
        why = foreign(run, location, pointers)
        if why is None:
            return core_execute_run(job, run, *rest, **named)
        refused.append(why)
        refuse(instance, run, why)
        return iter(())

    module, _, name = _CORE.partition(":")
    setattr(sys.modules[module], name, execute_own)
    try:
        with find(_INTERRUPTS)(), instance:
            code: int = find(_EXECUTE)(
                run_id, instance, lambda _event: None, set_exit_code_on_failure=False
            )
    finally:
        setattr(sys.modules[module], name, core_execute_run)
    return REFUSED if refused else code


def foreign(run: Any, location: str, pointers: Sequence[str]) -> str | None:
    """Why the run is none of this location's; None when it is."""
    origin = run.remote_job_origin
    its_location = origin.location_name if origin else None
    if its_location != location:
        return f"run {run.run_id} is of location {its_location}, this worker is of {location}"
    pointer = run.job_code_origin.repository_origin.code_pointer
    # Tuples of different classes can be equal.
    own: list[Any] = [find(_READ)(serialized) for serialized in pointers]
    if not any(type(pointer) is type(one) and pointer == one for one in own):
        known = " or ".join(one.describe() for one in own)
        return f"run {run.run_id}: its code pointer is {pointer!r:.200}, this worker has {known}"
    return None


def refuse(instance: Any, run: Any, why: str) -> None:
    """Say it where people look; the run's events may be out of reach of this location's role."""
    print(f"refused: {why}", file=sys.stderr, flush=True)
    with contextlib.suppress(Exception):
        instance.report_engine_event(f"The worker refused the run: {why}.", run)


def status(order: Mapping[str, Any]) -> int:
    """The exit code of ``main``; UNREACHABLE when the database did not come back.

    Dagster itself ends with 0 then, or with an exception like any other.
    """
    try:
        code = main(order)
    except Exception:
        if not _given_up:
            raise
        traceback.print_exc()
        code = UNREACHABLE
    return UNREACHABLE if _given_up else code


if __name__ == "__main__":
    sys.exit(status(json.loads(sys.argv[1])))
