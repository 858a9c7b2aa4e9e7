"""One stack for the whole session; scenarios that break things repair them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from harness import FULL, KEEP, Stack
from runs import ONCE, Begun, launch

# Where the stack stays between sessions (tests/run); a session of its own makes and removes it.
KEPT = os.environ.get("KEPT_STACK")


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The stack's folder, and the file that says what is in it once it is up."""
    folder = Path(KEPT) if KEPT else tmp_path_factory.mktemp("stack")
    folder.mkdir(parents=True, exist_ok=True)
    return folder, folder.with_name(f"{folder.name}.json")


@pytest.fixture(scope="session")
def users_api(kept: tuple[Path, Path]) -> Iterator[HTTPServer]:
    """The users API, on the host; containers see it as host.docker.internal."""
    bridge = subprocess.run(
        ["docker", "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    # A kept stack knows its port.
    port = int(json.loads(kept[1].read_text())["api_port"]) if kept[1].exists() else 0
    with HTTPServer(host=bridge, port=port) as server:
        yield server


@pytest.fixture(scope="session")
def stack(kept: tuple[Path, Path], users_api: HTTPServer) -> Iterator[Stack]:
    """The stack, brought up as the README says, from a clean copy of the project."""
    folder, state = kept
    if state.exists():
        stack = Stack.load(folder, state)
    else:
        stack = Stack(folder, api_port=users_api.port)
        stack.settings["USERS_API_URL"] = f"http://host.docker.internal:{users_api.port}"
        stack.settings["USERS_API_PAGINATION"] = "link-header"
    try:
        if state.exists():
            stack.follow(state)
        else:
            stack.copy_project()
            stack.first_start = stack.run("make", "up")
            stack.first_logs = stack.compose("--ansi=never", "logs", "--no-log-prefix")
            stack.save(state)
        yield stack
    except AssertionError:
        stack.report()
        raise
    finally:
        if not (KEEP and state.exists()):
            stack.remove()
            state.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)


def pytest_sessionfinish() -> None:
    """A kept stack that none of the session's tests has used goes, too."""
    if KEPT and not KEEP and (state := Path(f"{KEPT}.json")).exists():
        Stack.load(Path(KEPT), state).remove()
        state.unlink()


@pytest.fixture(scope="session")
def begun(stack: Stack) -> Iterator[Begun]:
    """Runs whose containers end, or never begin, well before the late tests."""
    foreign = stack.run(
        *("docker", "create", "--label", "compose_run_launcher.project=another-stack"),
        *("--label", "compose_run_launcher.role=run", f"{stack.project}/elt:live", "true"),
    ).strip()
    stack.run("docker", "start", foreign)
    leave = {"ops": {"leave": {"config": {"code": 3}}}}
    yield Begun(
        succeeded=launch(stack, "scenarios", "tick_job"),
        failed=launch(stack, "scenarios", "leave_job", leave),
        never_starts=launch(stack, "scenarios", "import_hangs_job", tags=ONCE),
        foreign=foreign,
        stale=launch(stack, "scenarios", "__ASSET_JOB", assets=["soon_stale"]),
    )
    stack.run("docker", "rm", "--force", foreign)


@pytest.fixture(scope="session")
def loaded(stack: Stack) -> None:
    """elt's tables are in the warehouse, and in the UI."""
    if stack.sql("SELECT to_regclass('raw.orders')") == [[""]]:
        launch(stack, "elt", "sync_tables_job").wait()


@pytest.fixture(scope="session")
def marts(stack: Stack, loaded: None) -> None:
    """So are those that analytics makes of them."""
    if stack.sql("SELECT to_regclass('marts.my_analytics_asset')") == [[""]]:
        launch(stack, "analytics", "regenerate_analytics_job").wait(seconds=240)


@pytest.fixture(autouse=True)
def _begin(request: pytest.FixtureRequest) -> None:
    """Begin with the first test that uses the stack, if there are late ones."""
    late = any(item.get_closest_marker("late") for item in request.session.items)
    if late and "stack" in request.fixturenames:
        request.getfixturevalue("begun")


# At the end, in this order: what was begun at the start; a search for secrets in what all others
# have left; a restart of the engine, after which that is gone.
LATE = ("late", "secrets_nowhere", "engine_restart")


def place(item: pytest.Item) -> int:
    """The position of a test in the session: 0, or its place in LATE from 1 on."""
    marks = {mark.name for mark in item.iter_markers()} | {item.path.parent.name}
    return max((LATE.index(name) + 1 for name in LATE if name in marks), default=0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Late tests come last; long ones run by `make soak` alone."""
    items.sort(key=place)
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
