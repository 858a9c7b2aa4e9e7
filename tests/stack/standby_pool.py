"""Standby workers, as one sees them from outside."""

from __future__ import annotations

from harness import Stack, until
from runs import Run


def pool(stack: Stack, location: str) -> list[str]:
    """Ids of the containers that wait for a run of the location and are ready for it."""
    waiting = stack.run(
        *("docker", "ps", "--quiet", "--no-trunc"),
        *("--filter", f"name=^{stack.project}-standby-{location}-"),
    ).split()
    logs = {id: stack.run("docker", "logs", "--tail=5", id, check=False) for id in waiting}
    return [id for id, log in logs.items() if "standby worker: ready" in log]


def pool_is_full(stack: Stack, location: str = "ready", size: int = 2) -> list[str]:
    """Wait until all of a location's workers are ready; their ids."""

    def full() -> list[str]:
        ready = pool(stack, location)
        assert len(ready) == size, stack.compose("logs", "--tail=30", "daemon")
        return ready

    # The pool itself has noticed by its next look.
    return until(full, seconds=90, every=0.5)


def handed_over(run: Run) -> bool:
    """Whether a standby worker got the run."""
    return "Handing the run to standby worker" in run.text()
