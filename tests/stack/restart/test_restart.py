"""Stop and start lose nothing."""

from __future__ import annotations

import time

import pytest

from harness import Stack, until
from runs import load


def contents(stack: Stack) -> dict[str, object]:
    """What must outlive a restart."""
    return {
        # One that has not ended may end meanwhile.
        "runs": stack.sql(
            "SELECT run_id, status FROM runs WHERE status IN ('SUCCESS', 'FAILURE', 'CANCELED')"
            " ORDER BY id",
            "dagster",
        ),
        "ticks": stack.sql("SELECT id FROM job_ticks ORDER BY id", "dagster"),
        "orders": stack.sql("SELECT * FROM raw.orders ORDER BY 1"),
    }


@pytest.mark.long
def test_stop_and_start(stack: Stack, loaded: None) -> None:
    run = load(stack, "customers")
    run.wait()
    # No tick may come between the look before and the stop.
    stack.compose("stop", "daemon")
    before = contents(stack)
    assert before["ticks"]
    stack.compose("stop")
    stack.compose("start")
    # schedules/test_schedules.py looks for the ticks that follow.
    stack.moments["started again"] = time.time()

    def all_is_back() -> None:
        assert "LOADED" in stack.run("make", "status")

    until(all_is_back, seconds=90)
    stack.compose("up", "--detach", "--wait")
    after = contents(stack)
    for what, rows in before.items():
        assert isinstance(rows, list)
        assert [row for row in after[what] if row in rows] == rows, what  # type: ignore[attr-defined]
    assert run.stdout() != ""
