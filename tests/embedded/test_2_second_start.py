"""Again in the same checkout: quick, with everything that was there; then killed outright."""

import shutil
import socket

from checkout import Stack
from polling import wait_for

# How long a second start takes on a quiet machine: bench/run embedded_start.
PATIENCE_S = 120


def test_a_taken_port_is_one_line_and_nothing_is_started(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", stack.port)):
        assert stack.run(deadline_s=30) == 1
        [line] = stack.output.splitlines()
        assert f"port {stack.port} is taken" in line
        assert "make dev" in line
        assert stack.processes() == []


def test_a_bad_port_is_one_line(stack: Stack) -> None:
    bad = Stack(stack.checkout, stack.port, stack.environment | {"WEBSERVER_PORT": "http"})
    assert bad.run(deadline_s=30) == 1
    [line] = bad.output.splitlines()
    assert "WEBSERVER_PORT is 'http'" in line


def test_it_starts_again(stack: Stack) -> None:
    stack.start()
    seconds = stack.wait_until_ready(PATIENCE_S)
    print(f"second start: UI after {seconds:.1f} s")


def test_runs_and_tables_are_still_there(stack: Stack, state: dict[str, str]) -> None:
    assert [run["status"] for run in stack.ui.runs_of("sync_tables_job")] == ["SUCCESS"]
    [[customers]] = stack.query("elt", "SELECT count(*) FROM raw.customers")
    assert customers == 200
    assert stack.ui.wait_for_end(state["interrupted run"]) in {"FAILURE", "CANCELED"}


def test_kill_9_of_everything_with_a_run_under_way(stack: Stack, state: dict[str, str]) -> None:
    run_id = stack.ui.launch("elt", "hang_job")
    wait_for("the run runs", lambda: stack.ui.status_of(run_id) == "STARTED", 60)
    state["killed run"] = run_id
    stack.kill_everything()


def test_what_was_killed_starts_again_and_the_lost_run_is_reported(
    stack: Stack, state: dict[str, str]
) -> None:
    stack.start()
    stack.wait_until_ready(PATIENCE_S)
    assert stack.ui.status_of(state["killed run"]) == "FAILURE"
    assert "stack was stopped" in stack.ui.messages_of(state["killed run"])
    assert [run["status"] for run in stack.ui.runs_of("sync_tables_job")] == ["SUCCESS"]


def test_kill_9_of_the_supervisor_leaves_nothing_behind(stack: Stack) -> None:
    assert stack.process is not None
    stack.process.kill()
    stack.process.wait(10)
    wait_for("the watchdog has ended everything", lambda: not stack.processes(), 40)
    shutil.rmtree(stack.checkout / ".dev" / "landing_zone")
