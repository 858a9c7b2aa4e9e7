"""Keeps services running: whatever ends is started again, and that is said."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from control_plane.errors import StackError

from embedded import process_list
from embedded.console import complain, say, show_log_tail
from embedded.inner_server import InnerServer
from embedded.process_list import Process
from embedded.restarts import Restarts
from embedded.services import Running, Service, rotate, start, tail


class ServiceEnded(StackError):
    """A service ended before it had served: starting it again would not help."""

    def __init__(self, running: Running) -> None:
        super().__init__(
            f"{running.service.title} ended by itself ({ending(running)}); "
            f"log: {running.service.log}"
        )
        self.tail = tail(running.service.log)


@dataclass
class Kept:
    """A service that is kept running. ``before`` runs before each restart."""

    running: Running
    port: int | None = None
    before: Callable[[], object] | None = None
    inner: InnerServer | None = None
    # Until then its end ends the start; a code server's never does.
    has_served: bool = False
    restarts: Restarts = field(default_factory=Restarts)
    why: str = ""
    shown: str = ""

    @property
    def name(self) -> str:
        return self.running.name


class Supervisor:
    """The kept services, in the order of their start; ``file`` is where `make ps` reads them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.kept: list[Kept] = []

    def launch(
        self,
        service: Service,
        port: int | None = None,
        before: Callable[[], object] | None = None,
        is_code_server: bool = False,
    ) -> Kept:
        """Start a service with a new log, and keep it running from now on."""
        rotate(service.log)
        inner = InnerServer() if is_code_server else None
        kept = Kept(start(service), port, before, inner, has_served=is_code_server)
        self.kept.append(kept)
        self._write()
        return kept

    def look(self) -> None:
        """Start what has ended and is due. Raises ServiceEnded for what never served."""
        now = time.monotonic()
        for kept in self.kept:
            if kept.running.is_alive:
                self._end_if_hollow(kept, now)
            elif kept.restarts.due is None:
                if not kept.has_served:
                    raise ServiceEnded(kept.running)
                self._report_end(kept, now)
            elif kept.restarts.take(now):
                self._start_again(kept, now)

    def _start_again(self, kept: Kept, now: float) -> None:
        try:
            if kept.before is not None:
                kept.before()
            kept.running = start(kept.running.service)
        except StackError as error:
            pause = kept.restarts.ended(now, 0)
            complain(f"{error}; next try in {pause:.0f} s")
            return
        if kept.inner is not None:
            kept.inner = InnerServer()
        say(f"[green]✓[/] {kept.running.service.title} runs again")
        self._write()

    def _end_if_hollow(self, kept: Kept, now: float) -> None:
        """Kill a proxy whose inner process is gone; it is then started again as any other."""
        if kept.inner is None or not kept.inner.is_lost(kept.running, now):
            return
        kept.inner = InnerServer()
        kept.why = "the process that serves it is gone"
        with contextlib.suppress(psutil.Error):
            kept.running.process.kill()
            kept.running.process.wait(5)

    def _report_end(self, kept: Kept, now: float) -> None:
        running = kept.running
        pause = kept.restarts.ended(now, running.age_s)
        complain(
            f"{running.service.title} ended ({kept.why or ending(running)}), "
            f"starting it again in {pause:.0f} s; log: {running.service.log}"
        )
        kept.why = ""
        lines = tail(running.service.log)
        if kept.restarts.failures > 1 and lines != kept.shown:
            kept.shown = lines
            show_log_tail(lines)
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: it is for looks alone
            process_list.write(self.file, [_note(kept) for kept in self.kept])


def ending(running: Running) -> str:
    """How a process ended, in words."""
    code = running.process.poll()
    if code is None or code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def _note(kept: Kept) -> Process:
    due = kept.restarts.due
    return Process(
        name=kept.name,
        pid=kept.running.process.pid,
        port=kept.port,
        started=time.time() - kept.running.age_s,
        restarts=kept.restarts.total,
        due=None if due is None else time.time() + due - time.monotonic(),
    )
