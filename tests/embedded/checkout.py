"""A checkout of its own for the tests, and the stack that is started in it as a user would."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg2

from graphql import UI
from polling import wait_for

FIRST_START_S = 240
READY = "Ctrl-C to stop"
_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parents[1]


def clone(target: Path) -> None:
    """What a clone of this working tree would hold once it is committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=_REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = _REPOSITORY / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def add_test_definitions(checkout: Path) -> None:
    """Jobs and a schedule that exist in this checkout alone."""
    target = checkout / "code_locations" / "elt" / "src" / "elt" / "defs" / "jobs"
    shutil.copy(_HERE / "test_only" / "ticker.py", target / "test_only_ticker.py")


@dataclass
class Stack:
    """`deploy/embedded/dev` in ``checkout``, with its output in a file."""

    checkout: Path
    port: int
    environment: dict[str, str]
    user: str | None = None
    process: psutil.Popen | None = None
    started: float = 0
    outputs: list[Path] = field(default_factory=list)

    @property
    def ui(self) -> UI:
        return UI(self.port)

    @property
    def output(self) -> str:
        """What this start has printed so far."""
        return self.outputs[-1].read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return int(self.process.pid)

    def start(self, *arguments: str) -> None:
        """As from a terminal: a session of its own, so that Ctrl-C can reach the whole group."""
        account = pwd.getpwnam(self.user) if self.user else None
        self.outputs.append(self.checkout.parent / f"output-{len(self.outputs)}.txt")
        self.started = time.monotonic()
        with self.outputs[-1].open("wb") as output:
            self.process = psutil.Popen(
                [str(self.checkout / "deploy" / "embedded" / "dev"), *arguments],
                cwd=self.checkout,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=_hang_up_by_default,
            )

    def run(self, *arguments: str, deadline_s: float = 120) -> int:
        """Start it and wait until it ends by itself; its exit status."""
        self.start(*arguments)
        return self.wait_for_end(deadline_s)

    def wait_until_ready(self, deadline_s: float) -> float:
        """Wait for the UI, then for the table; seconds from start to the UI's first answer."""
        wait_for(f"UI answers; {self.outputs[-1]}", self._answers_or_ended, deadline_s)
        seconds = time.monotonic() - self.started
        wait_for("the table is shown", lambda: READY in self.output, 60)
        return seconds

    def _answers_or_ended(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the stack ended:\n{self.output}"
        return self.ui.answers()

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """What a terminal does on Ctrl-C; the exit status."""
        os.killpg(self.pid, number)
        return self.wait_for_end(60)

    def wait_for_end(self, deadline_s: float) -> int:
        assert self.process is not None
        return int(self.process.wait(deadline_s))

    def processes(self) -> list[psutil.Process]:
        """Everything alive that has to do with the checkout, by folder and command line."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        mark = str(self.checkout)
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return mark in process.cwd() or any(mark in part for part in process.cmdline())
        except psutil.Error:
            return False

    def named(self, part: str) -> list[psutil.Process]:
        """Our processes whose command line holds ``part``."""
        return [process for process in self.processes() if part in _command_line(process)]

    def query(self, role: str, sql: str) -> list[tuple[object, ...]]:
        """Ask the warehouse as ``role``."""
        data = self.checkout / ".dev"
        port = (data / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[3]
        password = (data / "secrets" / f"{role}_password").read_text().strip()
        connection = psycopg2.connect(
            host="127.0.0.1", port=int(port), dbname="warehouse", user=role, password=password
        )
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def kill_everything(self) -> None:
        """kill -9 of all of it at once, Postgres and watchdog included."""
        processes = self.processes()
        for process in processes:
            # Some end by themselves in this moment.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        for process in [*processes, *self.processes()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_for("everything is gone", lambda: not self.processes(), 20)


def _command_line(process: psutil.Process) -> str:
    """Empty when the process ended a moment ago, as a schedule's runs do all the time."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _hang_up_by_default() -> None:
    """Tests that are run by nohup hand on an ignored SIGHUP; a terminal does not."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
