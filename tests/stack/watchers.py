"""Services of the profiles that watch the stack, with short intervals, in a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness import Stack


@contextmanager
def watching(stack: Stack, profile: str, *services: str, **settings: str) -> Iterator[None]:
    """With a profile's settings, files and images; its caller starts the services.

    Metrics and rules are looked at every 2 s, and a daemon without a heartbeat for 40 s is dead.
    ``services`` end with it, and what they kept.
    """
    folder = stack.folder / "deploy/monitoring/prometheus"
    given = {path: path.read_text() for path in folder.glob("*.yml")}
    former = dict(stack.settings)
    stack.settings |= {
        "COMPOSE_PROFILES": f"ready,{profile}",
        "METRICS_INTERVAL_S": "2",
        **settings,
    }
    shorter = {
        "prometheus.yml": ((": 15s", ": 2s"), (": 10s", ": 2s")),
        # Heartbeats are 30 s apart.
        "alerts.yml": (("time() - 120\n        for: 30s", "time() - 40"),),
    }
    for name, changes in shorter.items():
        text = given[folder / name]
        for old, new in changes:
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        (folder / name).write_text(text)
    built = [name for name in services if name != "prometheus"]
    try:
        stack.compose("build", "--quiet", *built)
        yield
    finally:
        for path, text in given.items():
            path.write_text(text)
        stack.compose("rm", "--stop", "--force", *services)
        # Else the next one takes the last values for its own, for five minutes.
        for volume in ("prometheus", "alerts"):
            stack.run("docker", "volume", "rm", "--force", f"{stack.project}_{volume}")
        stack.settings.clear()
        stack.settings.update(former)
        stack.compose("up", "--detach", "--no-deps", "--wait", "web_gateway")
