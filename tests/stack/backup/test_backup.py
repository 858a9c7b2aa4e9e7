"""Backups of the running stack, and restores of what they hold: no more, and no less."""

from __future__ import annotations

import re
import signal

import pytest

from backup_service import listed
from harness import FINAL, Stack, free_port, until
from landing import delete, get, put
from releases import begin, deploy, kill, write_release
from runs import launch

# As a person counts: from the last row that stands to the first that is lost.
MOST_LOST_S = 5.0


def now(stack: Stack) -> str:
    """The database's time, in UTC."""
    query = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
    return stack.sql(query)[0][0]


def mark(stack: Stack, text: str) -> None:
    """Leave a row in the warehouse."""
    stack.sql("CREATE TABLE IF NOT EXISTS public.marks (what text, at timestamptz DEFAULT now())")
    stack.sql(f"INSERT INTO public.marks VALUES ('{text}')")


def marks(stack: Stack) -> list[str]:
    return [row[0] for row in stack.sql("SELECT what FROM public.marks ORDER BY at")]


def test_a_restore_brings_back_what_was_and_nothing_that_came_later(backups: Stack) -> None:
    stack = backups
    stack.sql("DROP TABLE IF EXISTS public.marks")
    put(stack, "kept.note", "of the landing zone")
    stack.run("make", "backup")
    delete(stack, "kept.note")
    mark(stack, "before")
    ended = launch(stack, "scenarios", "tick_job")
    ended.wait()
    under_way = launch(stack, "scenarios", "slow_job")
    under_way.wait("STARTED")
    at = now(stack)
    mark(stack, "after")
    later = launch(stack, "scenarios", "tick_job")
    later.wait()
    under_way.wait("SUCCESS")
    said = stack.run("make", "restore", f"AT={at}", "YES=1")
    assert marks(stack) == ["before"]
    assert get(stack, "kept.note") == "of the landing zone"
    assert ended.status == "SUCCESS"
    assert stack.sql(f"SELECT 1 FROM runs WHERE run_id = '{later.id}'", "dagster") == []

    # It was under way at that moment, and its container is gone: lost, and ended once.
    def has_ended() -> None:
        assert under_way.status in FINAL

    until(has_ended, seconds=90)
    ends = "('PIPELINE_SUCCESS', 'PIPELINE_FAILURE', 'PIPELINE_CANCELED')"
    [[count]] = stack.sql(
        f"SELECT count(*) FROM event_logs WHERE run_id = '{under_way.id}'"
        f" AND dagster_event_type IN {ends}",
        "dagster",
    )
    assert count == "1"
    launch(stack, "scenarios", "tick_job").wait()
    # What was there before is kept, and named.
    [kept] = re.findall(r"make restore UNDO=(\S+)", said)
    assert kept in stack.run("docker", "volume", "ls", "--quiet").split()
    # The log goes on in a line of its own, which has a backup of its own.
    until(lambda: _two_lines(stack), seconds=60)


def _two_lines(stack: Stack) -> None:
    assert len({each["line"] for each in listed(stack)["backups"]}) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["AT=2020-01-01"], "AT is 2020-01-01T00:00:00+00:00: backup"),
        (["AT=2999-01-01"], "AT is 2999-01-01T00:00:00+00:00: backup"),
        (["AT=yesterday"], "AT is 'yesterday': not an ISO 8601 time"),
        (["BACKUP=x"], "BACKUP is 'x': there is none. There are: "),
        (["UNDO=x"], "UNDO is 'x': there is no such volume"),
        (["INTO=A.b", "RPC_SUBNETS=198.30"], "INTO is 'A.b': not a project's name"),
    ],
)
def test_what_cannot_be_restored_is_named(backups: Stack, arguments: list[str], words: str) -> None:
    before = backups.container("postgres")
    said = backups.run("make", "restore", "YES=1", *arguments, check=False)
    assert f"error: {words}" in said
    assert "Traceback" not in said
    assert backups.container("postgres") == before
    assert backups.inspect(before)["State"]["Running"]


def test_a_rehearsal_reads_every_table(backups: Stack) -> None:
    mark(backups, "rehearsed")
    backups.run("make", "backup")
    said = backups.run("make", "restore-rehearse")
    own = "schemaname NOT IN ('pg_catalog', 'information_schema')"
    [[tables]] = backups.sql(f"SELECT count(*) FROM pg_tables WHERE {own}")
    [[others]] = backups.sql(f"SELECT count(*) FROM pg_tables WHERE {own}", "dagster")
    assert f"{int(tables) + int(others)} tables" in said
    assert "last rehearsed restore: " in backups.run("make", "status")


@pytest.mark.long
def test_a_disk_that_is_lost_costs_seconds(backups: Stack) -> None:
    stack = backups
    for number in range(100):
        mark(stack, str(number))
    last = float(stack.sql("SELECT extract(epoch FROM max(at)) FROM public.marks")[0][0])
    stack.run("docker", "kill", stack.container("postgres"))
    volume = f"{stack.project}_postgres"
    holders = stack.run("docker", "ps", "-aq", "--filter", f"volume={volume}").split()
    stack.run("docker", "rm", "--force", *holders)
    stack.run("docker", "volume", "rm", volume)
    stack.run("make", "restore", "YES=1")
    restored = float(stack.sql("SELECT extract(epoch FROM max(at)) FROM public.marks")[0][0])
    print(f"rows of the last {last - restored:.2f} s were lost")
    assert last - restored < MOST_LOST_S
    launch(stack, "scenarios", "tick_job").wait()


@pytest.mark.long
def test_after_a_restore_passwords_are_the_present_ones_and_releases_ship(backups: Stack) -> None:
    stack = backups
    mark(stack, "with the former passwords")
    at = now(stack)
    stack.run("make", "secrets-rotate")
    stack.run("make", "restore", f"AT={at}", "YES=1")
    launch(stack, "scenarios", "tick_job").wait()
    write_release(stack, "after the restore")
    assert deploy(stack)["went_live"]
    run = launch(stack, "elt", "release_job")
    run.wait()
    assert run.stdout() == "release after the restore\n"


@pytest.mark.long
def test_undone(backups: Stack) -> None:
    stack = backups
    mark(stack, "kept")
    at = now(stack)
    mark(stack, "lost and found")
    said = stack.run("make", "restore", f"AT={at}", "YES=1")
    assert "lost and found" not in marks(stack)
    [kept] = re.findall(r"make restore UNDO=(\S+)", said)
    stack.run("make", "restore", f"UNDO={kept}", "YES=1")
    assert "lost and found" in marks(stack)
    launch(stack, "scenarios", "tick_job").wait()


@pytest.mark.long
def test_interrupted_it_names_the_way_back(backups: Stack) -> None:
    stack = backups
    mark(stack, "before the interruption")
    process = begin(stack, "restore", "--yes")
    for line in process.stdout or ():
        if "Unpacking" in line:
            break
    said = kill(process, signal.SIGINT)
    assert process.returncode == 1, said
    assert "error: interrupted. The stack is stopped. Fix: " in said and "Traceback" not in said
    [kept] = re.findall(r"make restore UNDO=(\S+)", said)
    assert not stack.run("docker", "ps", "-q", "--filter", f"name={stack.project}-backup-").split()
    stack.run("make", "restore", f"UNDO={kept}", "YES=1")
    assert "before the interruption" in marks(stack)
    launch(stack, "scenarios", "tick_job").wait()


@pytest.mark.long
def test_into_a_stack_beside_this_one(backups: Stack) -> None:
    stack = backups
    mark(stack, "in both")
    stack.run("make", "backup")
    name = f"{stack.project}-copy"
    other = Stack(stack.folder, port=free_port(), project=name, settings=dict(stack.settings))
    # As any stack of these tests has them: without backups.
    del other.settings["COMPOSE_PROFILES"]
    subnets = other.subnets
    stack.run("make", "restore", f"INTO={name}", f"RPC_SUBNETS={subnets}", "YES=1")
    try:
        other.run("make", "up")
        assert marks(other) == marks(stack)
        launch(other, "scenarios", "tick_job").wait()
        again = stack.run("make", "restore", f"INTO={name}", f"RPC_SUBNETS={subnets}", check=False)
        assert "that project has data already" in again
        # A password of one opens the other; what one does, the other does not see.
        mark(other, "in the copy alone")
        assert "in the copy alone" not in marks(stack)
    finally:
        other.remove()
