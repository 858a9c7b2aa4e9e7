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
from embedded.console import complain, say, show_log_tail, step, working
from embedded.locations import Location
from embedded.plan import Plan
from embedded.ports import answers
from embedded.services import Running, Service, rotate, start, tail
from embedded.shutdown import end_stack
from embedded.supervisor import ServiceEnded, Supervisor, ending
from embedded.waiting import wait_until

_POSTGRES_S = 60  # recovery after an unclean stop included
_TASK_S = 300
_CODE_SERVER_S = 120
_WEBSERVER_S = 120
_STATUS_S = 60
_WATCH_INTERVAL_S = 0.25


@dataclass
class Stack:
    """One run of the stack; ``stop`` is safe to call at any moment."""

    plan: Plan
    hurry: Callable[[], bool]
    watchdog: subprocess.Popen[bytes] | None = None
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.plan.paths.processes)

    def start(self) -> None:
        """Bring everything up; returns when the webserver answers and the daemon has begun."""
        plan = self.plan
        self._write_files()
        self._start_watchdog()
        postgres_home.prepare(plan.home, plan.paths)
        with step(f"Postgres {postgres_home.MAJOR} on port {plan.environments.postgres_port}"):
            self._start_postgres()
        prepares = [self._launch(plan.prepare(each)) for each in plan.locations if each.prepare]
        # Before the code servers: Dagster looks into its storage when it loads definitions.
        self._migrate()
        names = ", ".join(each.name for each in plan.locations)
        with step(f"code locations {names}"):
            for each in plan.locations:
                self.supervisor.launch(
                    plan.code_server(each), plan.code_ports[each.name], is_code_server=True
                )
            for prepare in prepares:
                self._finish_prepare(prepare)
            self._end_lost_runs()
            self._wait_for_code_servers()
        with step("webserver"):
            self._start_webserver()
        # Last: the UI is what somebody waits for, and the cores are few.
        self.supervisor.launch(plan.daemon()).has_served = True

    def show_status(self) -> None:
        """Wait for the UI and print the table; broken locations do not end the stack."""
        with working("waiting for the locations to load"):
            shown = subprocess.Popen(self.plan.status(_STATUS_S))
            while shown.poll() is None:
                self.watch_once()
                time.sleep(_WATCH_INTERVAL_S)
        if shown.returncode != 0:
            say("Details are in the UI and in [bold].dev/logs[/]; after a fix press Reload there.")
        say(f"\n[bold]{self.plan.url}[/]   logs: .dev/logs   Ctrl-C to stop")

    def watch(self) -> NoReturn:
        """Look after the processes until a signal comes."""
        while True:
            self.watch_once()
            time.sleep(_WATCH_INTERVAL_S)

    def watch_once(self) -> None:
        """Start again what has ended. Raises ServiceEnded for what never served."""
        self.supervisor.look()
        if self.watchdog is not None and self.watchdog.poll() is not None:
            self._start_watchdog()
            complain("the watchdog ended; it is started again")

    def stop(self) -> None:
        """End every process that this run started."""
        kept = self.supervisor.kept
        control = [each for each in kept if each.name in {"webserver", "daemon"}]
        end_stack(
            control=[each.running for each in reversed(control)],
            code_servers=[each.running for each in kept if each.inner is not None],
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
        postgres_server.clear_stray(home.data)
        postgres.ensure_initialised(
            home, secrets.read(self.plan.paths.secrets, "postgres_password")
        )
        server = self.supervisor.launch(
            self.plan.postgres(),
            self.plan.environments.postgres_port,
            before=lambda: postgres_server.clear_stray(home.data),
        )

        def is_up() -> bool:
            self.watch_once()
            return postgres_server.is_ready(home.data, server.running.process.pid)

        if not wait_until(is_up, _POSTGRES_S):
            raise StackError(
                f"Postgres did not become ready in {_POSTGRES_S} s; "
                f"log: {server.running.service.log}"
            )
        server.has_served = True

    def _migrate(self) -> None:
        state = migration.Fingerprint.of(self.plan)
        if state.is_recorded():
            return
        with step("databases, roles and storage"):
            task = self._launch(self.plan.migrate())
            if self._result(task) != 0:
                reason = tail(task.service.log, 1) or f"it ended ({ending(task)})"
                raise StackError(f"databases and roles: {reason}; log: {task.service.log}")
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
                each.restarts.failures or answers(self.plan.code_ports[each.name])
                for each in self.supervisor.kept
                if each.inner is not None
            )

        if not wait_until(all_settled, _CODE_SERVER_S):
            complain(f"a code location is still loading after {_CODE_SERVER_S} s; going on without")

    def _start_webserver(self) -> None:
        port = self.plan.webserver_port
        webserver = self.supervisor.launch(self.plan.webserver(), port)

        def is_up() -> bool:
            self.watch_once()
            return answers(port)

        if not wait_until(is_up, _WEBSERVER_S):
            log = webserver.running.service.log
            raise StackError(f"the webserver does not answer after {_WEBSERVER_S} s; log: {log}")
        webserver.has_served = True

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
