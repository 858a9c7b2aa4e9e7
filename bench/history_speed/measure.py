"""The measurement: see bench/history_speed.py."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import generate
import pages
import psycopg2
import table
from control_plane import database
from control_plane.connections import keep_connections
from control_plane.instance import migrate_instance
from control_plane.retention import plan, removal
from control_plane.retention.rules import Rules
from dagster import DagsterInstance
from dagster_graphql.test.utils import define_out_of_process_context
from document import put_into
from years import years

from conftest import PASSWORD, SQL, Postgres, _run

RULES = Rules(days=365, runs=0)


def main() -> None:
    """Make, ask, remove, ask again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    with ExitStack() as stack:
        server = _serve(stack)
        instance = stack.enter_context(server.instance("dagster"))
        # As the webserver does.
        keep_connections(instance)
        session = _session(server)
        began = time.monotonic()
        generate.make(instance, session, options.runs)
        print(f"made in {time.monotonic() - began:.0f} s: {_counts(session)}", flush=True)
        file = str(Path(__file__).with_name("years.py"))
        context = stack.enter_context(define_out_of_process_context(file, "years", instance))
        process = context.process_context
        found: dict[str, Any] = {"counts": _counts(session), "repeat": options.repeat}
        loads = found["load"] = {}
        # Of the minute before: other programs on the machine are in the figures.
        loads["before"] = os.getloadavg()[0]
        found["before"] = _ask(process, options.repeat)
        loads["removal"] = os.getloadavg()[0]
        found["retention"] = _remove(server, instance, session, process)
        loads["after"] = os.getloadavg()[0]
        found["after"] = _ask(process, options.repeat)
        loads["end"] = os.getloadavg()[0]
        found["counts after"] = _counts(session)
    _show(found)
    if options.docs:
        (options.docs / "history-speed.json").write_text(json.dumps(found, indent=1) + "\n")
        put_into(options.docs / "retention.md", "history", table.of(found))


def _serve(stack: ExitStack) -> Postgres:
    """As initdb configures it: what it promises is on disk."""
    folder = Path(tempfile.mkdtemp(prefix="history-speed-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    _run(
        *(user, folder, "initdb", "--pgdata=data", "--username=postgres", "--encoding=UTF8"),
        *("--auth=scram-sha-256", "--pwfile=password", "--locale=C"),
    )
    options = f"-h 127.0.0.1 -p {port} -k '' -c timezone=UTC -c max_wal_size=1GB"
    _run(user, folder, "pg_ctl", "-D", "data", "-l", "log", "-o", options, "-w", "start")
    stack.callback(_run, user, folder, "pg_ctl", "-D", "data", "-m", "immediate", "stop")
    homes = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    server = Postgres(port, homes, stack, folder, user)
    database.provision(server.server(), PASSWORD, {"elt": PASSWORD, "analytics": PASSWORD}, SQL)
    migrate_instance(server.server(), PASSWORD)
    database.grant_run_rights(server.server(), SQL)
    return server


def _session(server: Postgres) -> Any:
    connection = psycopg2.connect(
        host="127.0.0.1", port=server.port, user="dagster", password=PASSWORD, dbname="dagster"
    )
    server.stack.callback(connection.close)
    return connection


def _counts(session: Any) -> dict[str, int]:
    counted = {}
    with session, session.cursor() as cursor:
        for table in ("runs", "event_logs"):
            cursor.execute(f"SELECT count(*) FROM {table}")
            counted[table] = cursor.fetchone()[0]
        cursor.execute("SELECT pg_database_size('dagster') / 1048576")
        counted["MiB"] = cursor.fetchone()[0]
    return counted


def _ask(process: Any, repeat: int) -> dict[str, dict[str, float]]:
    """Medians of each query, by page; the first time of each is not counted."""
    found = {}
    for name, page in pages.PAGES.items():
        taken = [pages.seconds(process, page) for _ in range(repeat + 1)][1:]
        found[name] = {
            asked: statistics.median(each[asked] for each in taken) for asked in taken[0]
        }
        print(f"{name}: {sum(found[name].values()):.2f} s", flush=True)
    return found


def _remove(server: Postgres, instance: DagsterInstance, session: Any, process: Any) -> Any:
    quiet = _Meanwhile(instance, process)
    quiet.start()
    time.sleep(20)
    quiet.end()
    began = time.monotonic()
    planned = plan.make(session, RULES)
    plan_s = time.monotonic() - began
    busy = _Meanwhile(instance, process)
    busy.start()
    began = time.monotonic()
    done = removal.remove(session, RULES, lambda _done, _total: None)
    removal_s = time.monotonic() - began
    sizes = removal.vacuum(session)
    busy.end()
    after_vacuum = _counts(session)["MiB"]
    began = time.monotonic()
    removal.vacuum(session, full=True)
    return {
        "plan_s": plan_s,
        "planned_bytes": planned.bytes,
        "removal_s": removal_s,
        "runs": done.runs,
        "events": done.events,
        "returned_by_vacuum": sum(before - after for before, after in sizes.values()),
        "MiB_after_vacuum": after_vacuum,
        "full_vacuum_s": time.monotonic() - began,
        "MiB_after_full_vacuum": _counts(session)["MiB"],
        "meanwhile": {"quiet": quiet.medians(), "removing": busy.medians()},
    }


class _Meanwhile(threading.Thread):
    """Creates a run with an event, and asks for the runs page, until it is told to end."""

    def __init__(self, instance: DagsterInstance, process: Any) -> None:
        super().__init__(daemon=True)
        self._instance, self._process = instance, process
        self._ended = threading.Event()
        self._job = years.resolve_job_def("plain")
        self.launches: list[float] = []
        self.pages: list[float] = []

    def run(self) -> None:
        while not self._ended.wait(0.2):
            began = time.perf_counter()
            run = self._instance.create_run_for_job(self._job)
            self._instance.report_engine_event("launching", run)
            self.launches.append(time.perf_counter() - began)
            self.pages.append(sum(pages.seconds(self._process, pages.PAGES["runs"]).values()))

    def end(self) -> None:
        self._ended.set()
        self.join()

    def medians(self) -> dict[str, float]:
        return {
            "create_run_s": statistics.median(self.launches),
            "create_run_max_s": max(self.launches),
            "runs_page_s": statistics.median(self.pages),
            "runs_page_max_s": max(self.pages),
            "number": len(self.launches),
        }


def _show(found: dict[str, Any]) -> None:
    print(f"\n{'page, seconds':34}{'before':>8}{'after':>8}  slowest query before")
    for name, asked in found["before"].items():
        slowest = max(asked, key=lambda each: asked[each])
        print(
            f"{name:34}{sum(asked.values()):8.2f}{sum(found['after'][name].values()):8.2f}"
            f"  {slowest} {asked[slowest]:.2f}"
        )
    print(
        json.dumps({key: found[key] for key in ("counts", "counts after", "retention")}, indent=1)
    )


if __name__ == "__main__":
    main()
