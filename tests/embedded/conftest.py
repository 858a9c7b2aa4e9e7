"""One checkout for the whole story, and the stack that runs in it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from checkout import Stack, add_test_definitions, clone
from users_api import UsersApi


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long acts run by `make soak` alone."""
    if os.environ.get("SOAK") != "full":
        left = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with what the stack has said."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack) and stack.outputs:
        report.sections.append(("console", stack.output))
        for log in sorted((stack.checkout / ".dev" / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-40:]
            report.sections.append((log.name, "\n".join(lines)))
    return report


@pytest.fixture(scope="session")
def users_api() -> Iterator[UsersApi]:
    server = UsersApi()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def python() -> str | None:
    """An interpreter that other users can run too; None where that is the usual one anyway."""
    if os.geteuid() != 0:
        return None
    for candidate in ("/usr/bin/python3", "/usr/local/bin/python3"):
        check = "import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"
        found = Path(candidate).exists()
        if found and subprocess.run([candidate, "-c", check], check=False).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="session")
def stack(users_api: UsersApi, python: str | None) -> Iterator[Stack]:
    # Not pytest's own folder: Postgres runs as another user when we are root.
    folder = Path(tempfile.mkdtemp(prefix="embedded-"))
    folder.chmod(0o755)
    checkout = folder / "a checkout"
    clone(checkout)
    add_test_definitions(checkout)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    (checkout / ".env").write_text(f"WEBSERVER_PORT={port}\nUSERS_API_URL={users_api.url}\n")
    stack = Stack(checkout, port, _environment(python))
    try:
        yield stack
    finally:
        stack.kill_everything()
        shutil.rmtree(folder, ignore_errors=True)


def _environment(python: str | None) -> dict[str, str]:
    """The shell's, less what belongs to this test's own environment, or to a make that runs it."""
    ours = {"VIRTUAL_ENV", "WEBSERVER_PORT", "USERS_API_URL", "UV_PYTHON"}
    ours |= {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    folders = os.environ["PATH"].split(os.pathsep)
    environment["PATH"] = os.pathsep.join(f for f in folders if Path(f) != Path(sys.prefix, "bin"))
    environment["COLUMNS"] = "120"
    if python:
        environment["UV_PYTHON"] = python
    return environment


@pytest.fixture(scope="session")
def state() -> dict[str, str]:
    """What an act of the story hands on to a later one."""
    return {}
