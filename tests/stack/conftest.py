"""One stack for the whole session; scenarios that break things repair them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from harness import FULL, Stack


@pytest.fixture(scope="session")
def users_api() -> Iterator[HTTPServer]:
    """The users API, on the host; containers see it as host.docker.internal."""
    bridge = subprocess.run(
        ["docker", "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with HTTPServer(host=bridge) as server:
        yield server


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, users_api: HTTPServer) -> Iterator[Stack]:
    """The stack, brought up as the README says, from a clean copy of the project."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.settings["USERS_API_URL"] = f"http://host.docker.internal:{users_api.port}"
    stack.copy_project()
    try:
        stack.first_start = stack.run("make", "up")
        stack.first_logs = stack.compose("--ansi=never", "logs", "--no-log-prefix")
        yield stack
    except AssertionError:
        stack.report()
        raise
    finally:
        stack.run("make", "down", check=False)
        stack.compose("down", "--volumes", "--remove-orphans", "--rmi", "local", check=False)
        for image in stack.run("docker", "images", "-q", f"{stack.project}/*").split():
            stack.run("docker", "rmi", "--force", image, check=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The engine restarts after everything else: what first start left is gone then. Before
    that, what all others have left is searched for secrets."""
    late = ["secrets_nowhere", "engine_restart"]
    items.sort(key=lambda item: [name in item.nodeid for name in reversed(late)])
    left = [] if FULL else [item for item in items if item.get_closest_marker("long")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """After a failure: what runs, how healthy it is, and what it said last."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and call.when == "call" and isinstance(stack, Stack):
        print(f"\n---- {item.nodeid} failed\n{report.longreprtext}", file=sys.stderr)
        stack.report()


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where pictures and reports are kept."""
    from harness import ARTIFACTS

    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS
