"""The outbox over failures, kills and an absent Postgres; real processes, a real receiver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
from click.testing import Result
from psycopg2 import OperationalError
from typer.testing import CliRunner

from conftest import RULES, Folder, NewRun, Prometheus, Receiver
from stack_alerts.__main__ import app
from stack_alerts.outage import Outage
from stack_alerts.sending import Sender, failing, pause
from stack_alerts.settings import Settings
from stack_postgres import Postgres

SOURCE = Path(__file__).parents[1] / "src"
PUT = (
    "INSERT INTO alerts.message (location, channel, kind, title, body, created_at)"
    " VALUES ('', %s, 'warn', %s, 'text', now())"
)


# Services of these tests start beside stacks that take both cores.
LONG_S = 60.0


def until(check: Callable[[], bool], seconds: float = LONG_S) -> None:
    ends = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.2)


@pytest.fixture
def environment(
    folder: Folder, postgres: Postgres, prometheus: Prometheus, receiver: Receiver
) -> dict[str, str]:
    """Of the service's process."""
    folder.channel(receiver.url())
    (folder.path / "state").mkdir()
    return {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "ALERTS_SECRETS": str(folder.path / "secrets"),
        "ALERTS_FILE": str(folder.path / "alerts.yaml"),
        "ALERTS_LOCATIONS": str(folder.path / "code_locations"),
        "ALERTS_RULES": str(RULES),
        "ALERTS_STATE": str(folder.path / "state"),
        "ALERTS_INTERVAL_S": "0.5",
        "PROMETHEUS_URL": f"http://127.0.0.1:{prometheus.port}",
    }


@contextmanager
def service(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "stack_alerts", "serve"], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environment)


def test_killed_within_the_call_it_sends_again_and_says_so(
    environment: dict[str, str], new_run: NewRun, postgres: Postgres, receiver: Receiver
) -> None:
    def all_is_sent() -> bool:
        return not postgres.run("SELECT 1 FROM alerts.message WHERE sent_at IS NULL")

    postgres.run(PUT, "hook", "first")
    postgres.run(PUT, "hook", "second")
    receiver.hangs.set()
    with service(environment) as process:
        assert receiver.arrived.wait(15)
        # It came, and the claim is committed; its result is not.
        process.send_signal(signal.SIGKILL)
    receiver.hangs.clear()
    with service(environment) as process:
        until(lambda: len(receiver.got) == 3)
        new_run(ended=5)
        until(lambda: len(receiver.got) == 4)
        # Told to end, it ends.
        until(all_is_sent)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    told = ["first", "(possibly repeated) first", "second", "WARNING elt: load failed"]
    assert receiver.titles == told
    # And once more: nothing is left to say.
    sender = Sender(Folder(Path(environment["ALERTS_STATE"]).parent).database, None, print)  # type: ignore[arg-type]
    assert not sender.round()
    sender.database.close()
    # A restart repeats nothing, and goes on with what is open.
    new_run(ended=5)
    with service(environment):
        until(lambda: postgres.run("SELECT count FROM alerts.incident") == [(2,)])
        new_run(status="SUCCESS", ended=9)
        until(lambda: len(receiver.got) == 5)
    assert receiver.titles == [*told, "OVER elt: load failed"]


def test_a_channel_that_fails_rests_alone_and_loses_nothing(
    folder: Folder, postgres: Postgres, receiver: Receiver
) -> None:
    folder.channel(receiver.url("t0ken-in-the-path"), "good")
    folder.channel("json://hunter2:hunter3@127.0.0.1:9/t0ken-in-the-path", "bad")
    said: list[str] = []
    sender = Sender(folder.database, folder.channels, said.append)
    for title in ("one", "two"):
        postgres.run(PUT, "bad", title)
        postgres.run(PUT, "good", title)
    while sender.round():
        pass
    assert receiver.titles == ["one", "two"]
    with folder.database.transaction() as cursor:
        [channel] = failing(cursor)
    assert channel["name"] == "bad" and channel["failing_since"] and channel["error"]
    for secret in ("hunter2", "hunter3", "t0ken"):
        assert secret not in f"{channel} {said}"
    # Mended, it gets all that it missed, in order, and is no longer shown.
    folder.channel(receiver.url("bad"), "bad")
    postgres.run("UPDATE alerts.channel SET due_at = now()")
    while sender.round():
        pass
    assert [each["title"] for each in receiver.got if each["path"] == "/bad"] == ["one", "two"]
    with folder.database.transaction() as cursor:
        assert failing(cursor) == []


def test_pauses_grow_up_to_half_an_hour() -> None:
    assert [pause(n).total_seconds() for n in (1, 2, 3, 50)] == [10, 20, 40, 1800]


def test_what_was_sent_is_not_sent_again_when_postgres_leaves_in_between(
    folder: Folder, postgres: Postgres, receiver: Receiver
) -> None:
    folder.channel(receiver.url())
    postgres.run(PUT, "hook", "one")
    sender = Sender(folder.database, folder.channels, print)
    receiver.hangs.set()
    failed: list[Exception] = []

    def send() -> None:
        try:
            sender.round()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    assert receiver.arrived.wait(10)
    postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'dagster_alerts'"
    )
    receiver.hangs.clear()
    thread.join(20)
    assert failed
    while sender.round():
        pass
    assert receiver.titles == ["one"]


def test_postgres_away_is_told_once_and_its_end_once(
    environment: dict[str, str],
    folder: Folder,
    new_run: NewRun,
    postgres: Postgres,
    receiver: Receiver,
) -> None:
    outage = folder.path / "state/outage.json"
    settings = Settings(owner="Platform")

    def away() -> Outage:
        return Outage(outage, folder.channels, print, "http://ui", timedelta(0))

    away().go_on(OperationalError("connection refused\npassword hunter2"), settings)
    away().go_on(OperationalError("connection refused"), settings)
    assert len(receiver.got) == 1 and "Postgres does not answer" in receiver.titles[0]
    assert "hunter2" not in receiver.got[0]["message"]
    # A process that was killed within the call.
    state = json.loads(outage.read_text())
    state["channels"]["hook"]["state"] = "claimed"
    outage.write_text(json.dumps(state))
    away().go_on(OperationalError("connection refused"), settings)
    assert receiver.titles[1].startswith("(possibly repeated) CRITICAL")
    left = outage.read_text()
    with service(environment):
        until(lambda: len(receiver.got) == 3)
        until(lambda: not outage.exists())
        # Killed before that is recorded, it would rightly send once more.
        until(lambda: not postgres.run("SELECT 1 FROM alerts.message WHERE sent_at IS NULL"))
    # Killed after the commit, before the file was deleted.
    outage.write_text(left)
    with service(environment):
        until(lambda: not outage.exists())
        new_run(ended=5)
        until(lambda: len(receiver.got) == 4)
    assert receiver.titles[2].startswith("OVER the stack: Postgres")
    assert receiver.titles[3] == "WARNING elt: load failed"


def test_a_postgres_that_stands_still_holds_nobody_up(
    folder: Folder, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack_alerts.database.ANSWER_S", 0.3)
    database = folder.database
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_backend_pid() AS pid")
        pid = cursor.fetchone()["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with (
            pytest.raises(psycopg2.OperationalError, match="has not answered"),
            database.transaction() as cursor,
        ):
            cursor.execute("SELECT 1")
    finally:
        os.kill(pid, signal.SIGCONT)
    with database.transaction() as cursor:
        cursor.execute("SELECT 1")


def test_each_channel_is_tested_and_named(
    environment: dict[str, str], folder: Folder, receiver: Receiver
) -> None:
    folder.channel(receiver.url("elt"), "own", "elt")
    done = run(environment, "test")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines() == ["the stack: hook: taken", "elt: own: taken"]
    folder.channel("json://user:hunter2@127.0.0.1:9/abcdef", "own", "elt")
    folder.channel("nonsense://hunter2", "odd", "elt")
    done = run(environment, "test", "--location=elt")
    assert done.exit_code == 1
    assert "elt: own: FAILED: " in done.stdout and "elt: odd: FAILED: " in done.stdout
    assert "error: 2 of 2 channels failed" in done.stderr and "Fix: " in done.stderr
    assert "hunter2" not in done.stdout + done.stderr and "abcdef" not in done.stdout + done.stderr
    assert "Fix: make alert-channel" in run(environment, "test", "--location=sales").stderr


def test_check_and_start_name_file_line_value_and_fix(
    environment: dict[str, str], folder: Folder
) -> None:
    assert run(environment, "check").exit_code == 0
    folder.write("owner: Team\nchannels: [hook]\n", "elt")
    done = run(environment, "check")
    assert done.exit_code == 1 and "Traceback" not in done.stderr
    assert "error: code_locations/elt/alerts.yaml:2: channels: 'hook' is not" in done.stderr
    folder.write("owner: Platform\nseverity: loud\n")
    done = run(environment, "serve")
    assert done.exit_code == 1 and "Traceback" not in done.stderr
    assert "error: deploy/alerts/alerts.yaml:2: severity: 'loud': " in done.stderr


def test_status_is_short(environment: dict[str, str], postgres: Postgres) -> None:
    assert run(environment, "status").stdout == "alerts: nothing is wrong\n"
    postgres.run(
        "INSERT INTO alerts.incident (key, name, location, job, severity, title, cause, fix, link,"
        " opened_at, seen_at, count) VALUES ('a', 'RunFailed', 'elt', 'load', 'warning',"
        " 'load failed', '', '', '', '2026-01-15 12:00+00', now(), 3)"
    )
    postgres.run(
        "INSERT INTO alerts.channel (location, name, failures, failing_since, error)"
        " VALUES ('elt', 'own', 4, '2026-01-15 12:00+00', 'error=403')"
    )
    assert run(environment, "status").stdout.splitlines() == [
        "alerts: 1 open",
        "  warning elt: load failed (since 2026-01-15 12:00 UTC, 3 times)",
        "  FAILED: channel own of elt since 2026-01-15 12:00 UTC: error=403",
    ]
