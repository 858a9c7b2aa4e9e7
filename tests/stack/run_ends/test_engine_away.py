"""Docker Engine, or the way to it, is away while a run is launched."""

from __future__ import annotations

import pytest

from harness import Stack
from runs import launch


# In `make test` the way to the engine is one of those that chaos kills.
@pytest.mark.long
def test_a_launch_waits_for_an_engine_that_is_away_for_a_moment(stack: Stack) -> None:
    stack.compose("stop", "docker_gateway")
    try:
        run = launch(stack, "scenarios", "tick_job")
        run.wait("STARTING")
    finally:
        stack.compose("start", "docker_gateway")
    run.wait("SUCCESS")
    containers = [c for c in stack.run_containers() if c == run.tags["docker/container_id"]]
    assert len(containers) == 1
    started = [e for e in run.events() if e["__typename"] == "RunStartEvent"]
    assert len(started) == 1
