"""Start, watch and stop the stack: the order of things, and nothing else."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from control_plane import secrets
from control_plane.errors import StackError

from embedded import derive, lost_runs, migration, postgres, postgres_home, postgres_server
from embedded.console import complain, done, say, show_log_tail, step
from embedded.locations import Location
from embedded.plan import Plan
from embedded.ports import answers
from embedded.restarts import Restarts
from embedded.services import Running, Service, rotate, start, tail
from embedded.shutdown import end_stack
from embedded.waiting import wait_until

_POSTGRES_S = 60  # recovery after an unclean stop included
_TASK_S = 300
_CODE_SERVER_S = 120
_WEBSERVER_S = 120
_STATUS_S = 60
_WATCH_INTERVAL_S = 0.25


class ServiceEnded(StackError):
    """A service without which nothing works has ended by itself."""

    def __init__(self, running: Running) -> None:
        code = running.process.poll()
        super().__init__(
            f"{running.name} ended by itself (status {code}); log: {running.service.log}"
        )
        self.tail = tail(running.service.log)


@dataclass
class Stack:
    """One run of the stack; ``stop`` is safe to call at any moment."""

    plan: Plan
    hurry: Callable[[], bool]
    control: list[Running] = field(default_factory=list)
    code_servers: list[Running] = field(default_factory=list)
    restarts: dict[str, Restarts] = field(default_factory=dict)
    watchdog: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Bring everything up; returns when the webserver answers and the daemon has begun."""
        plan = self.plan
        self._write_files()
        self._start_watchdog()
        with step(f"Postgres {postgres_home.MAJOR} on port {plan.environments.postgres_port}"):
            self._start_postgres()
        prepares = [self._launch(plan.prepare(each)) for each in plan.locations if each.prepare]
        # Before the code servers: Dagster looks into its storage when it loads definitions.
        self._migrate()
        begun = time.monotonic()
        self.code_servers += [self._launch(plan.code_server(each)) for each in plan.locations]
        for prepare in prepares:
            self._finish_prepare(prepare)
        self._end_lost_runs()
        self._wait_for_code_servers()
        done(f"code locations {plan.location_names}", time.monotonic() - begun)
        with step("webserver"):
            self.control.append(self._launch(plan.webserver()))
            self._wait_for_webserver()
        # Last: the UI is what somebody waits for, and the cores are few.
        self.control.append(self._launch(plan.daemon()))

    def show_status(self) -> None:
        """Wait for the UI and print the table; broken locations do not end the stack."""
        shown = subprocess.Popen(self.plan.status(_STATUS_S))
        while shown.poll() is None:
            self.watch_once()
            time.sleep(_WATCH_INTERVAL_S)
        if shown.returncode != 0:
            say("Details are in the UI and in [bold].dev/logs[/]; after a fix press Reload there.")
        say(f"\n[bold]{self.plan.url}[/]   logs: .dev/logs   Ctrl-C to stop")

    def watch(self) -> NoReturn:
        """Look after the processes until something essential ends or a signal comes."""
        while True:
            self.watch_once()
            time.sleep(_WATCH_INTERVAL_S)

    def watch_once(self) -> None:
        """Raise ServiceEnded for an essential process; restart code servers within bounds."""
        for running in self.control:
            if not running.is_alive:
                raise ServiceEnded(running)
        for index, running in enumerate(self.code_servers):
            if not running.is_alive:
                self._consider_restart(index, running)

    def stop(self) -> None:
        """End every process that this run started."""
        control = [running for running in self.control if running.name != "postgres"]
        end_stack(
            control=reversed(control),
            code_servers=self.code_servers,
            postgres_data=self.plan.home.data,
            stack_data=self.plan.paths.data,
            run_id=self.plan.environments.run_id,
            hurry=self.hurry,
        )
        if self.watchdog is not None and self.watchdog.stdin is not None:
            with contextlib.suppress(OSError):
                self.watchdog.stdin.write(b"ended\n")
                self.watchdog.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.watchdog.wait(5)

    def _write_files(self) -> None:
        paths, plan = self.plan.paths, self.plan
        instance = derive.instance_config((paths.root / "dagster.yaml").read_text())
        derive.write(paths.dagster_home / "dagster.yaml", "dagster.yaml", instance)
        derive.write(paths.workspace, "workspace.yaml", derive.workspace_config(plan.code_ports))
        for name in ("compute_logs", *(f"storage/{each.name}" for each in plan.locations)):
            (paths.data / name).mkdir(parents=True, exist_ok=True)

    def _start_watchdog(self) -> None:
        plan = self.plan
        arguments = [plan.paths.lock, plan.environments.run_id, plan.home.data]
        self.watchdog = subprocess.Popen(
            [sys.executable, "-m", "embedded.watchdog", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _start_postgres(self) -> None:
        home = self.plan.home
        postgres_home.prepare(home, self.plan.paths)
        postgres_server.clear_stray(home.data)
        postgres.ensure_initialised(
            home, secrets.read(self.plan.paths.secrets, "postgres_password")
        )
        server = self._launch(self.plan.postgres())
        self.control.append(server)

        def is_up() -> bool:
            self.watch_once()
            return postgres_server.is_ready(home.data, server.process.pid)

        if not wait_until(is_up, _POSTGRES_S):
            raise StackError(
                f"Postgres did not become ready in {_POSTGRES_S} s; log: {server.service.log}"
            )

    def _migrate(self) -> None:
        state = migration.Fingerprint.of(self.plan)
        if state.is_recorded():
            return
        with step("databases, roles and storage"):
            task = self._launch(self.plan.migrate())
            if self._result(task) != 0:
                raise StackError(f"{tail(task.service.log, 1)}; log: {task.service.log}")
            state.record()

    def _end_lost_runs(self) -> None:
        password = secrets.read(self.plan.paths.secrets, "dagster_password")
        lost = lost_runs.count(self.plan.environments.postgres_port, password)
        if lost:
            with step(f"{lost} runs of an earlier stack reported as ended"):
                self._result(self._launch(self.plan.end_lost_runs()))

    def _finish_prepare(self, task: Running) -> None:
        if self._result(task) != 0:
            reason = tail(task.service.log, 1).removeprefix("error: ")
            complain(f"{task.name}: {reason}; log: {task.service.log}")

    def _result(self, task: Running) -> int | None:
        """The exit status of a short task; None when it does not end in time."""

        def has_ended() -> bool:
            self.watch_once()
            return not task.is_alive

        return task.process.poll() if wait_until(has_ended, _TASK_S) else None

    def _wait_for_code_servers(self) -> None:
        def all_settled() -> bool:
            self.watch_once()
            return all(
                self.restarts.get(running.name) is not None
                or answers(self.plan.code_ports[running.name])
                for running in self.code_servers
            )

        if not wait_until(all_settled, _CODE_SERVER_S):
            complain(f"a code location is still loading after {_CODE_SERVER_S} s; going on without")

    def _wait_for_webserver(self) -> None:
        def is_up() -> bool:
            self.watch_once()
            return answers(self.plan.webserver_port)

        if not wait_until(is_up, _WEBSERVER_S):
            log = self.plan.webserver().log
            raise StackError(f"the webserver does not answer after {_WEBSERVER_S} s; log: {log}")

    def _consider_restart(self, index: int, running: Running) -> None:
        record = self.restarts.setdefault(running.name, Restarts())
        now = time.monotonic()
        if record.take(now):
            self.code_servers[index] = start(running.service)
        elif record.due is None and not record.given_up:
            self._report_end(running, record.ended(now, running.age_s))

    def _report_end(self, running: Running, pause_s: float | None) -> None:
        if pause_s is None:
            again = "not started again any more; after a fix, stop this and run `make dev` again"
        else:
            again = f"starting it again in {pause_s:.0f} s"
        code = running.process.poll()
        complain(
            f"the code server of {running.name} ended (status {code}), {again}; "
            f"log: {running.service.log}"
        )

    def _launch(self, service: Service) -> Running:
        rotate(service.log)
        return start(service)


def explain(error: Exception) -> None:
    """One clear line, and a log's last lines where they say more."""
    complain(str(error))
    if isinstance(error, ServiceEnded):
        show_log_tail(error.tail)


def location_secrets(locations: list[Location]) -> list[str]:
    """The passwords that a stack with these locations needs."""
    return [
        "postgres_password",
        "dagster_password",
        *(f"{location.name}_password" for location in locations),
    ]
