import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from control_plane.errors import StackError

from embedded import leftovers, lock, services
from embedded.restarts import Restarts
from embedded.waiting import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True); time.sleep(600)",
]


def service(tmp_path: Path, command: list[str]) -> services.Service:
    environment = {**os.environ, leftovers.MARK: leftovers.mark(tmp_path, "run")}
    return services.Service("sleeper", command, environment, tmp_path, tmp_path / "sleeper.log")


def test_marked_processes_are_found_by_stack_and_by_run(tmp_path: Path) -> None:
    running = services.start(service(tmp_path, SLEEP))
    try:
        # The environment is the new program's only after exec.
        assert wait_until(lambda: len(leftovers.find(tmp_path)) == 1, 5)
        assert leftovers.find(tmp_path, "run") == leftovers.find(tmp_path)
        assert leftovers.find(tmp_path, "another") == []
        assert leftovers.find(tmp_path / "other") == []
    finally:
        leftovers.end([running.process])
    assert leftovers.find(tmp_path) == []


def test_a_sweep_ends_what_is_started_meanwhile_too(tmp_path: Path) -> None:
    # Starts another one when it is asked to end.
    program = (
        "import signal, subprocess, sys, time\n"
        "def again(*_):\n"
        f"    subprocess.Popen({SLEEP!r})\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, again)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    running = services.start(service(tmp_path, [sys.executable, "-c", program]))
    assert wait_until(lambda: "ready" in services.tail(running.service.log), 10)
    assert leftovers.sweep(tmp_path) == 2
    assert leftovers.find(tmp_path) == []


def test_a_process_deaf_to_terminate_is_killed(tmp_path: Path) -> None:
    running = services.start(service(tmp_path, STUBBORN))
    assert wait_until(lambda: "deaf" in services.tail(running.service.log), 10)
    leftovers.end([running.process], patience_s=0.2)
    assert not psutil.pid_exists(running.process.pid)


def test_a_service_is_in_a_session_of_its_own(tmp_path: Path) -> None:
    running = services.start(service(tmp_path, SLEEP))
    try:
        assert os.getsid(running.process.pid) == running.process.pid
    finally:
        leftovers.end([running.process])


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"sleeper cannot be started: .*/no/such/program"):
        services.start(service(tmp_path, ["/no/such/program"]))


def test_logs_of_the_last_starts_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for number in range(6):
        services.rotate(log)
        log.write_text(str(number))
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["5", "4", "3", "2"]


def test_the_tail_of_a_log_skips_empty_lines(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n\ntwo\n\nthree\n\n")
    assert services.tail(log, 2) == "two\nthree"
    assert services.tail(tmp_path / "none.log") == ""


def test_the_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, pathlib\nfrom embedded.lock import held\n"
        "with held(pathlib.Path(sys.argv[1]), 3456): print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    assert lock.holder(path) == (holder.pid, 3456)
    with (
        pytest.raises(StackError, match=f"localhost:3456 .process {holder.pid}"),
        lock.held(path),
    ):
        pass
    holder.kill()
    holder.communicate()
    assert lock.holder(path) is None
    with lock.held(path):
        pass


def test_a_start_waits_for_the_end_of_an_earlier_stack(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, pathlib, time\nfrom embedded.lock import held\n"
        "with held(pathlib.Path(sys.argv[1]), ending=True): print(flush=True); time.sleep(0.5)"
    )
    ending = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert ending.stdout is not None
    ending.stdout.readline()
    with lock.held(path):
        assert lock.holder(path) is not None
    ending.communicate()


def test_the_watchdog_waits_for_the_dead_supervisor_s_lock_to_drop(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, pathlib, time\nfrom embedded.lock import held\n"
        "with held(pathlib.Path(sys.argv[1])): print(flush=True); time.sleep(0.5)"
    )
    dying = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert dying.stdout is not None
    dying.stdout.readline()
    with lock.held(path, ending=True):
        pass
    dying.communicate()


def test_a_service_is_started_again_later_and_later() -> None:
    record = Restarts()
    pauses = [record.ended(now=0, age_s=1) for _ in range(8)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_service_that_ran_well_has_a_clean_record() -> None:
    record = Restarts()
    record.ended(now=0, age_s=1)
    record.ended(now=0, age_s=1)
    assert record.ended(now=100, age_s=61) == 1
    assert not record.take(now=100.5)
    assert record.take(now=101)
    assert not record.take(now=102)
