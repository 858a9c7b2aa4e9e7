"""Conditions in a real database become incidents, and these become messages at a real receiver."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from conftest import Folder, NewRun, Prometheus, Receiver
from stack_alerts.outage import Outage
from stack_alerts.sending import Sender
from stack_alerts.watching import Watch
from stack_postgres import Postgres

FAILED = {
    "event_type_value": "STEP_FAILURE",
    "message": 'Execution of step "load" failed.',
    "event_specific_data": {
        "error": {"message": "outer", "cause": {"message": "ValueError: no rows\n", "cause": None}}
    },
}


@pytest.fixture
def watch(postgres: Postgres, folder: Folder, prometheus: Prometheus, receiver: Receiver) -> Watch:
    """Of a service that has run for a while."""
    folder.channel(receiver.url())
    outage = Outage(folder.path / "outage.json", folder.channels, print, "http://ui")
    url = f"http://127.0.0.1:{prometheus.port}/prometheus"
    watch = Watch(folder.database, folder.places, folder.channels, url, "http://ui", outage, print)
    watch.calm = timedelta(0)
    watch.start()
    watch.look()
    return watch


@pytest.fixture
def round_(watch: Watch, folder: Folder) -> Callable[[], None]:
    """One look, and all that is to be sent."""
    sender = Sender(folder.database, folder.channels, print)

    def run() -> None:
        watch.look()
        while sender.round():
            pass

    return run


Round = Callable[[], None]


def alert(name: str, state: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": "critical", **labels},
        "annotations": {"summary": f"{name} is so", "fix": "make status"},
        "state": state,
    }


def test_all_failures_of_a_job_are_one_message_with_its_cause(
    round_: Round, new_run: NewRun, receiver: Receiver
) -> None:
    run_id = new_run(event=FAILED)
    round_()
    new_run()
    new_run()
    round_()
    assert receiver.titles == ["WARNING elt: load failed"]
    body = receiver.got[0]["message"]
    for words in ("Owner: Platform", "ValueError: no rows", f"http://ui/runs/{run_id}", "docker"):
        assert words in body
    assert "outer" not in body
    new_run(status="SUCCESS", ended=3)
    round_()
    round_()
    assert receiver.titles[1:] == ["OVER elt: load failed"]
    assert "3 times" in receiver.got[1]["message"]
    # It fails again: another incident.
    new_run(ended=5)
    round_()
    assert receiver.titles[2:] == ["WARNING elt: load failed"]


def test_a_run_that_is_tried_again_is_no_news(
    round_: Round, new_run: NewRun, receiver: Receiver
) -> None:
    new_run(will_retry="true")
    # The daemon decides in a moment.
    new_run(will_retry=None)
    new_run(ended=-3600.0, began=-3700.0)
    round_()
    assert receiver.titles == []


def test_two_jobs_and_two_locations_are_not_one(
    round_: Round, new_run: NewRun, receiver: Receiver
) -> None:
    new_run("a")
    new_run("b")
    new_run("a", location="analytics")
    round_()
    new_run("a", "SUCCESS", location="analytics", ended=3)
    round_()
    assert sorted(receiver.titles) == [
        *("OVER analytics: a failed", "WARNING analytics: a failed"),
        *("WARNING elt: a failed", "WARNING elt: b failed"),
    ]


def test_a_run_that_takes_longer_than_its_job_used_to(
    round_: Round, new_run: NewRun, receiver: Receiver, postgres: Postgres
) -> None:
    for _ in range(5):
        new_run("slow", "SUCCESS", began=-7600, ended=-7000)
    # Four successes say too little.
    for _ in range(4):
        new_run("rare", "SUCCESS", began=-7060, ended=-7000)
    new_run("slow", "STARTED", began=-1500, ended=None)
    new_run("rare", "STARTED", began=-1500, ended=None)
    round_()
    assert receiver.titles == []
    long = new_run("slow", "STARTED", began=-2000, ended=None)
    round_()
    assert receiver.titles == ["WARNING elt: a run of slow takes longer than it used to"]
    assert "median of the last 5 successes is 10.0 min" in receiver.got[0]["message"]
    postgres.run("UPDATE runs SET status = 'CANCELED' WHERE run_id = %s", long)
    round_()
    assert receiver.titles[1:] == ["OVER elt: a run of slow takes longer than it used to"]


def test_what_prometheus_says_fires_and_is_over(
    round_: Round, watch: Watch, prometheus: Prometheus, receiver: Receiver
) -> None:
    prometheus.alerts = [
        alert("DaemonDead"),
        alert("QueueStuck", "pending"),
        # This service sees them by itself, with a cause.
        alert("JobFailing", job="load", location="elt"),
        alert("DatabaseAway"),
    ]
    round_()
    round_()
    assert receiver.titles == ["CRITICAL the stack: DaemonDead is so"]
    # After its restart Prometheus waits once more before it fires.
    prometheus.alerts = [alert("DaemonDead", "pending")]
    round_()
    prometheus.status = 503
    round_()
    assert len(receiver.got) == 1
    prometheus.status, prometheus.alerts = 200, []
    watch.calm = timedelta(seconds=60)
    round_()
    assert len(receiver.got) == 1
    watch.calm = timedelta(0)
    round_()
    assert receiver.titles[1:] == ["OVER the stack: DaemonDead is so"]


def test_prometheus_away_for_long_is_an_incident(
    round_: Round, watch: Watch, prometheus: Prometheus, receiver: Receiver
) -> None:
    prometheus.status = 503
    round_()
    assert receiver.titles == []
    assert watch.silent_since is not None
    watch.silent_since -= 121
    round_()
    round_()
    assert len(receiver.got) == 1 and "Prometheus does not answer" in receiver.titles[0]
    prometheus.status = 200
    round_()
    assert receiver.titles[1].startswith("OVER the stack: Prometheus")


def test_what_postgres_refuses_is_not_told_as_its_absence(
    round_: Round, watch: Watch, postgres: Postgres, receiver: Receiver
) -> None:
    watch.outage.after = timedelta(0)
    postgres.run("REVOKE SELECT ON alerts.running_run FROM dagster_alerts")
    try:
        watch.look()
        watch.look()
    finally:
        postgres.run("GRANT SELECT ON alerts.running_run TO dagster_alerts")
    title = "the stack: Postgres refuses what alerts asks of it, so no other alert can be told"
    assert receiver.titles == [f"CRITICAL {title}"]
    assert "permission denied" in receiver.got[0]["message"]
    round_()
    assert receiver.titles[1:] == [f"OVER {title}"]


def test_a_location_is_told_itself_and_no_other(
    round_: Round, folder: Folder, new_run: NewRun, receiver: Receiver, prometheus: Prometheus
) -> None:
    folder.channel(receiver.url("of-elt"), "own", "elt")
    folder.write("owner: Team\nconditions: {RunFailed: {jobs: [load], severity: info}}\n", "elt")
    new_run("load")
    new_run("other")
    prometheus.alerts = [alert("LocationNotLoaded", location="elt"), alert("DaemonDead")]
    round_()
    got = sorted((each["path"], each["title"]) for each in receiver.got)
    assert got == [
        ("/hook-path", "CRITICAL the stack: DaemonDead is so"),
        ("/of-elt", "CRITICAL elt: LocationNotLoaded is so"),
        ("/of-elt", "INFO elt: load failed"),
    ]


def test_a_locations_bad_file_is_the_stacks_incident(
    round_: Round, folder: Folder, new_run: NewRun, receiver: Receiver
) -> None:
    folder.channel(receiver.url("of-elt"), "own", "elt")
    folder.write("owner: Team\nwords: 1\n", "elt")
    new_run("load")
    round_()
    round_()
    assert {each["path"] for each in receiver.got} == {"/hook-path"}
    assert sorted(receiver.titles) == [
        "WARNING elt: load failed",
        "WARNING the stack: code_locations/elt/alerts.yaml is not used; its alerts come here",
    ]
    folder.write("owner: Team\n", "elt")
    round_()
    assert [each["path"] for each in receiver.got[2:]] == ["/hook-path"]
    assert receiver.titles[2].startswith("OVER the stack: code_locations/elt")


def test_the_stacks_own_file_may_break_later(
    round_: Round, folder: Folder, receiver: Receiver
) -> None:
    folder.write("owner: [")
    round_()
    assert "deploy/alerts/alerts.yaml is not used" in receiver.titles[0]
    assert "Owner: Platform" in receiver.got[0]["message"]


def test_people_are_reminded_once_a_day(
    round_: Round, new_run: NewRun, receiver: Receiver, postgres: Postgres
) -> None:
    new_run()
    round_()
    round_()
    earlier = "UPDATE alerts.incident SET announced_at = announced_at - interval '24 h'"
    postgres.run(earlier)
    round_()
    round_()
    assert receiver.titles == ["WARNING elt: load failed", "STILL elt: load failed"]


def test_without_a_channel_incidents_wait_for_one(
    round_: Round, folder: Folder, new_run: NewRun, receiver: Receiver
) -> None:
    (folder.path / "secrets/stack/hook").unlink()
    new_run()
    round_()
    folder.channel(receiver.url())
    round_()
    assert receiver.titles == ["WARNING elt: load failed"]


def test_a_storm_is_one_message(round_: Round, new_run: NewRun, receiver: Receiver) -> None:
    for number in range(60):
        new_run(f"job_{number}")
    round_()
    round_()
    assert receiver.titles == ["the stack: 60 incidents, 0 of them over"]


def test_its_role_reads_no_table_of_dagsters(postgres: Postgres) -> None:
    for table in ("runs", "run_tags", "event_logs", "kvs", "control.run_owner"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            postgres.run(f"SELECT * FROM {table}", role="dagster_alerts")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        postgres.run("CREATE TABLE alerts.more (a int)", role="dagster_alerts")
    for table in ("alerts.incident", "alerts.message"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            postgres.run(f"SELECT * FROM {table}", role="elt")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        postgres.run("SELECT alerts.cause('x')", role="elt")
