"""Every password is changed in a running stack; no run is lost, and the old ones open nothing."""

from __future__ import annotations

import signal
import time

import pytest

from harness import Stack, until
from releases import begin, kill
from runs import ONCE, launch, load

CONSUMERS = {
    "postgres": ["postgres_password"],
    "webserver": ["dagster_password"],
    "elt": ["elt_password", "object_store_access_key", "object_store_secret_key"],
    "analytics": ["analytics_password"],
}


def secrets(stack: Stack) -> dict[str, str]:
    """The values, as their consumers see them."""
    return {
        name: stack.compose("exec", "-T", service, "cat", f"/run/secrets/{name}")
        for service, names in CONSUMERS.items()
        for name in names
    }


def logs_in(stack: Stack, role: str, password: str) -> bool:
    """Whether Postgres lets a role in over the network."""
    command = ["exec", "-T", "-e", f"PGPASSWORD={password}", "postgres"]
    psql = ["psql", "-h", "postgres", "-U", role, "-d", "dagster", "-Atc", "SELECT 'welcome'"]
    return "welcome" in stack.compose(*command, *psql, check=False)


def test_all_are_new_and_no_run_is_lost(stack: Stack) -> None:
    before = secrets(stack)
    # It ends by itself, some seconds after it has been found under way.
    under_way = launch(stack, "scenarios", "slow_job")
    under_way.wait("STARTED")
    with begin(stack, "rotate-secrets") as rotation:

        def daemon_is_away() -> int:
            state = stack.inspect(stack.container("daemon"))["State"]
            assert state["Status"] == "exited"
            return int(state["ExitCode"])

        # By itself, and not killed when its grace was over.
        assert until(daemon_is_away, seconds=150) != 137
        queued = load(stack, "customers")
        said, _ = rotation.communicate(timeout=300)
    assert rotation.returncode == 0, said
    assert "every password and key is new" in said
    # schedules/test_schedules.py looks for the ticks that follow.
    stack.moments["started again"] = time.time()
    under_way.wait("SUCCESS")
    queued.wait("SUCCESS", seconds=180)
    after = secrets(stack)
    assert not set(before.values()) & set(after.values())
    for role, name in {"postgres": "postgres", "elt": "elt", "analytics": "analytics"}.items():
        assert logs_in(stack, role, after[f"{name}_password"]), role
        assert not logs_in(stack, role, before[f"{name}_password"]), role
    for value in (*before.values(), *after.values()):
        assert value not in said
    # The object store has the new keys alone.
    load(stack, "customers").wait("SUCCESS", seconds=180)


@pytest.mark.long
def test_a_run_that_does_not_end_stops_it(stack: Stack) -> None:
    before = secrets(stack)
    run = launch(stack, "scenarios", "hanging_job", tags=ONCE)
    run.wait("STARTED")
    said = stack.run("make", "secrets-rotate", "WAIT=2", check=False)
    assert run.id in said and "Nothing was changed" in said
    assert "Traceback" not in said
    assert secrets(stack) == before
    assert run.status == "STARTED"
    run.terminate()
    run.wait("CANCELED")


@pytest.mark.long
@pytest.mark.parametrize("after", ["Making new secrets", "Giving them to the database"])
def test_interrupted_it_is_finished_by_giving_it_again(stack: Stack, after: str) -> None:
    """In between, some have former passwords still; nothing of the way back is lost."""
    before = secrets(stack)
    rotation = begin(stack, "rotate-secrets")
    assert rotation.stdout is not None
    said = next(line for line in rotation.stdout if after in line)
    said += kill(rotation, signal.SIGINT)
    assert rotation.returncode != 0
    assert "not finished" in said and "rerun this command" in said
    assert "every password and key is new" in stack.run("make", "secrets-rotate")
    assert not set(before.values()) & set(secrets(stack).values())
    launch(stack, "elt", "sync_tables_job").wait("SUCCESS", seconds=180)
    launch(stack, "analytics", "regenerate_analytics_job").wait("SUCCESS", seconds=240)
