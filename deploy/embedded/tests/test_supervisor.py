"""Real processes that are killed, and what of them is there a moment later."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from control_plane.errors import StackError

from embedded import inner_server, leftovers, process_list, services
from embedded.services import Running, Service, tail
from embedded.supervisor import ServiceEnded, Supervisor
from embedded.waiting import wait_until

SLEEP = "import time; time.sleep(600)"
# Like the proxy of a code server: it stays when the process that it serves from is gone.
PROXY = f"""
import subprocess, sys, time
if sys.argv[1] == "whole":
    subprocess.Popen([sys.executable, "-c", {SLEEP!r}, "dagster", "api", "grpc", "--socket"])
time.sleep(600)
"""


def service(folder: Path, program: str, *arguments: str) -> Service:
    environment = {**os.environ, leftovers.MARK: leftovers.mark(folder, "run")}
    command = [sys.executable, "-c", program, *arguments]
    return Service("part", command, environment, folder, folder / "part.log", title="the part")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Supervisor]:
    yield Supervisor(tmp_path / "processes.json")
    leftovers.sweep(tmp_path, patience_s=0.2)


def look_until(kept: Supervisor, condition: Callable[[], bool]) -> None:
    """Look as the stack does, until the condition holds."""

    def once() -> bool:
        kept.look()
        return condition()

    assert wait_until(once, 30)


def test_what_is_killed_is_started_again_and_that_is_said(
    kept: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = kept.launch(service(tmp_path, SLEEP), port=4321)
    part.has_served = True
    first = part.running.process.pid
    part.running.process.send_signal(signal.SIGKILL)
    look_until(kept, lambda: part.running.process.pid != first and part.running.is_alive)
    output = capsys.readouterr()
    assert "the part ended (killed by SIGKILL), starting it again in 1 s; log: " in output.err
    assert "the part runs again" in output.out
    [entry] = process_list.read(kept.file)
    assert (entry.pid, entry.port, entry.restarts) == (part.running.process.pid, 4321, 1)


def test_a_code_server_whose_inner_process_is_killed(
    kept: Supervisor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(inner_server, "_LOOK_S", 0.1)
    monkeypatch.setattr(inner_server, "_GONE_S", 0.3)
    part = kept.launch(service(tmp_path, PROXY, "whole"), is_code_server=True)
    first = part.running.process.pid
    look_until(kept, lambda: part.inner is not None and part.inner.known is not None)
    assert part.inner is not None and part.inner.known is not None
    part.inner.known.kill()
    look_until(kept, lambda: part.running.process.pid != first and part.running.is_alive)
    look_until(kept, lambda: part.inner is not None and part.inner.known is not None)
    said = capsys.readouterr().err
    assert "the part ended (the process that serves it is gone), starting it again" in said


def test_a_code_server_that_never_had_an_inner_process_is_left_alone(
    kept: Supervisor, tmp_path: Path
) -> None:
    part = kept.launch(service(tmp_path, PROXY, "without"), is_code_server=True)
    inner = inner_server.InnerServer()
    assert [inner.is_lost(part.running, now) for now in (10.0, 20.0, 30.0)] == [False] * 3


def test_what_ends_again_and_again_says_why(
    kept: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = kept.launch(service(tmp_path, "raise SystemExit('no space left')"))
    part.has_served = True
    look_until(kept, lambda: part.restarts.failures == 2)
    first, second, *log = filter(str.strip, capsys.readouterr().err.splitlines())
    assert "(exit status 1), starting it again in 1 s" in first
    assert "(exit status 1), starting it again in 2 s" in second
    assert [line.strip() for line in log] == ["no space left"] * 2


def test_what_never_served_ends_the_start_with_its_log(kept: Supervisor, tmp_path: Path) -> None:
    part = kept.launch(service(tmp_path, "raise SystemExit('bad configuration')"))
    assert wait_until(lambda: not part.running.is_alive, 20)
    with pytest.raises(ServiceEnded, match=r"the part ended by itself \(exit status 1\)") as error:
        kept.look()
    assert error.value.tail == tail(part.running.service.log) == "bad configuration"


def test_a_restart_that_fails_is_tried_again(
    kept: Supervisor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    part = kept.launch(service(tmp_path, SLEEP))
    part.has_served = True
    part.running.process.kill()

    def full(_: Service) -> Running:
        monkeypatch.setattr("embedded.supervisor.start", services.start)
        raise StackError("the part cannot be started: No space left on device")

    monkeypatch.setattr("embedded.supervisor.start", full)
    look_until(kept, lambda: part.restarts.total == 2 and part.running.is_alive)
    assert "No space left on device; next try in 2 s" in capsys.readouterr().err


def test_the_list_of_processes_says_what_is_up_and_what_is_not(tmp_path: Path) -> None:
    file = tmp_path / "processes.json"
    assert process_list.read(file) == []
    me = psutil.Process()
    up = process_list.Process("webserver", me.pid, 3000, started=0)
    due = process_list.Process("daemon", me.pid, None, started=0, restarts=3, due=107)
    process_list.write(file, [up, due])
    rows = [process_list.row(process, now=100) for process in process_list.read(file)]
    assert rows == [
        ("webserver", "running", str(me.pid), "3000", "1970-01-01 00:00:00", "0"),
        ("daemon", "restarts in 7 s", "-", "-", "-", "3"),
    ]
