"""From a clean clone to green runs, and Ctrl-C."""

import contextlib
import csv
import subprocess
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest

from checkout import FIRST_START_S, Stack
from polling import wait_for
from users_api import FAILURES, UsersApi, users

SCHEDULES = {
    "clean_up_rejected_rows_job_schedule",
    "sync_tables_job_schedule",
    "sync_users_job_schedule",
    "regenerate_analytics_job_schedule",
    "tick_job_schedule",
}


@pytest.fixture(scope="module", autouse=True)
def started(stack: Stack) -> None:
    stack.start()
    seconds = stack.wait_until_ready(FIRST_START_S)
    print(f"first start: UI after {seconds:.1f} s")


def test_both_locations_are_loaded_and_every_schedule_has_a_next_tick(stack: Stack) -> None:
    locations = stack.ui.locations()
    assert {name: each["__typename"] for name, each in locations.items()} == {
        "elt": "RepositoryLocation",
        "analytics": "RepositoryLocation",
    }
    schedules = stack.ui.schedules()
    assert set(schedules) == SCHEDULES
    assert all(state["status"] == "RUNNING" for state in schedules.values())
    assert all(state["nextTick"]["timestamp"] for state in schedules.values())


def test_the_console_shows_what_a_user_needs_and_no_traceback(stack: Stack) -> None:
    for expected in (f"http://localhost:{stack.port}", "elt", "analytics", *SCHEDULES):
        assert expected in stack.output
    assert "Traceback" not in stack.output
    assert "error" not in stack.output.lower()


def test_tables_then_analytics_equal_an_independent_count_of_the_files(stack: Stack) -> None:
    stack.ui.run_to_success("elt", "sync_tables_job")
    stack.ui.run_to_success("analytics", "regenerate_analytics_job")
    rows = stack.query(
        "analytics",
        "SELECT customer_id, orders, revenue_cents, first_order_at, last_order_at "
        "FROM marts.my_analytics_asset",
    )
    assert {row[0]: row[1:] for row in rows} == expected_mart(stack)


def expected_mart(stack: Stack) -> dict[int, tuple[object, ...]]:
    """Per customer: orders, revenue, first and last order; from the sample files alone."""
    folder = stack.checkout / "code_locations" / "elt" / "src" / "elt" / "defs" / "data"
    orders = defaultdict(list)
    with (folder / "orders.csv").open(newline="", encoding="utf-8") as file:
        for order in csv.DictReader(file):
            at = datetime.fromisoformat(order["ordered_at"]).astimezone(UTC)
            orders[int(order["customer_id"])].append((at, int(order["amount_cents"])))
    mart: dict[int, tuple[object, ...]] = {}
    with (folder / "customers.csv").open(newline="", encoding="utf-8") as file:
        for customer in csv.DictReader(file):
            number = int(customer["customer_id"])
            placed = sorted(orders.get(number, []))
            first, last = (placed[0][0], placed[-1][0]) if placed else (None, None)
            mart[number] = (len(placed), sum(amount for _, amount in placed), first, last)
    return mart


def test_users_come_from_the_api_although_it_was_unavailable_at_first(
    stack: Stack, users_api: UsersApi
) -> None:
    stack.ui.run_to_success("elt", "sync_users_job")
    assert users_api.statuses == [503] * FAILURES + [200]
    found = stack.query("elt", "SELECT count(*) FROM raw.users")
    assert found == [(len(users()),)]


@pytest.mark.parametrize(("name", "other"), [("elt", "analytics"), ("analytics", "elt")])
def test_a_location_s_processes_hold_its_own_password_alone(
    stack: Stack, name: str, other: str
) -> None:
    secrets = stack.checkout / ".dev" / "secrets"
    passwords = {file.name: file.read_text().strip() for file in secrets.iterdir()}
    servers = stack.named(f"--location-name {name}")
    assert servers
    for process in servers:
        values = set(process.environ().values())
        held = {role for role, password in passwords.items() if password in values}
        assert held == {f"{name}_password"}
        assert f"{other}_password" not in held


def test_a_second_one_in_the_same_checkout_is_refused_in_one_line(stack: Stack) -> None:
    second = Stack(stack.checkout, stack.port, stack.environment, outputs=[*stack.outputs] * 2)
    assert second.run(deadline_s=30) == 1
    [line] = second.output.splitlines()
    assert "already runs" in line
    assert f"http://localhost:{stack.port}" in line
    assert stack.ui.answers()


def test_a_code_server_whose_inner_process_dies_is_started_again(stack: Stack) -> None:
    [inner] = [each for each in stack.named(" api grpc ") if "/elt/" in each.cmdline()[0]]
    inner.kill()
    wait_for("the end is reported", lambda: "starting it again" in stack.output, 20)

    def loaded() -> bool:
        # What was loaded before stays in view until the end of its server is noticed.
        for name in stack.ui.locations():
            stack.ui.reload(name)
        found = stack.ui.locations().values()
        return all(location["__typename"] == "RepositoryLocation" for location in found)

    wait_for("all locations are loaded again", loaded, 60)


def make(stack: Stack, *arguments: str) -> tuple[int, str]:
    """Exit status and output of a task of the Makefile."""
    done = subprocess.run(
        ["make", *arguments],
        cwd=stack.checkout,
        env=stack.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_tasks_answer_for_the_mode_that_runs(stack: Stack) -> None:
    code, shown = make(stack, "status")
    assert code == 0, shown
    for expected in ("postgres", "webserver", str(stack.port), "daemon", "LOADED", *SCHEDULES):
        assert expected in shown
    code, shown = make(stack, "ps")
    assert code == 0 and shown.count(" running ") >= 5, shown
    code, address = make(stack, "psql", "PRINT=1", "LOCATION=elt")
    with contextlib.closing(psycopg2.connect(address.strip())) as connection:
        assert connection.info.dbname == "warehouse" and connection.info.user == "elt"
    code, refusal = make(stack, "deploy", "LOCATION=elt")
    assert code != 0 and "the embedded mode has no `make deploy`" in refusal


def test_a_schedule_ticks_by_itself_and_its_run_succeeds(stack: Stack) -> None:
    def ended() -> list[Any]:
        runs = stack.ui.runs_of("tick_job")
        return [run for run in runs if run["status"] == "SUCCESS"]

    run = wait_for("a run of the schedule succeeds", ended, 100)[0]
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["dagster/schedule_name"] == "tick_job_schedule"
    assert stack.ui.stdout_of(run["runId"]) == "tick\n"


def test_ctrl_c_ends_every_process_and_a_run_says_why_it_ended(
    stack: Stack, state: dict[str, str]
) -> None:
    run_id = stack.ui.launch("elt", "hang_job")
    wait_for("the run runs", lambda: stack.ui.status_of(run_id) == "STARTED", 60)
    before = {process.pid for process in stack.processes()}
    assert len(before) > 6
    assert stack.interrupt() == 0
    assert [process.cmdline() for process in stack.processes()] == []
    assert stack.output.rstrip().endswith("All processes have ended.")
    state["interrupted run"] = run_id
