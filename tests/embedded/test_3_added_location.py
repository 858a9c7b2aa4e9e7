"""A code location that was added while the stack was down, and taken out again."""

import os
import subprocess

import pytest

from checkout import Stack

# On the stack of Compose, tests/stack/add_location shows it in each run.
pytestmark = pytest.mark.long

NAME = "eu_sales"
FILES = ("docker-compose.yml", "workspace.yaml", "dg.toml", ".env.example")


def make(stack: Stack, target: str) -> subprocess.CompletedProcess[str]:
    """As a user, on a machine where Docker knows nothing of this checkout."""
    environment = stack.environment | {"COMPOSE_PROJECT_NAME": f"embedded-test-{os.getpid()}"}
    return subprocess.run(
        ["make", target, f"NAME={NAME}"],
        cwd=stack.checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def contents(stack: Stack) -> dict[str, bytes]:
    """The files that name the locations."""
    return {name: (stack.checkout / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def before(stack: Stack) -> dict[str, bytes]:
    return contents(stack)


def test_the_next_start_has_it(stack: Stack, before: dict[str, bytes]) -> None:
    added = make(stack, "location")
    assert added.returncode == 0, added.stderr
    assert "make dev" in added.stderr
    assert contents(stack) != before
    stack.start()
    stack.wait_until_ready(120)
    assert stack.ui.locations()[NAME]["__typename"] == "RepositoryLocation"
    assert stack.ui.schedules()[f"refresh_{NAME}_job_schedule"]["nextTick"]
    stack.ui.run_to_success(NAME, f"refresh_{NAME}_job")
    [[days]] = stack.query(NAME, f"SELECT count(*) FROM {NAME}.days")
    assert days in {365, 366}


def test_it_is_not_taken_from_under_a_stack_that_runs(stack: Stack) -> None:
    refused = make(stack, "location-remove")
    assert refused.returncode != 0
    assert "make dev runs in this checkout" in refused.stderr
    assert (stack.checkout / "code_locations" / NAME).is_dir()


def test_taken_out_it_leaves_no_trace_in_the_files(stack: Stack, before: dict[str, bytes]) -> None:
    assert stack.interrupt() == 0
    removed = make(stack, "location-remove")
    assert removed.returncode == 0, removed.stderr
    assert contents(stack) == before
    assert not (stack.checkout / "code_locations" / NAME).exists()
