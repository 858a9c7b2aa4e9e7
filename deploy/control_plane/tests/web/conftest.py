"""Dagster's own webserver, at the root and under a prefix."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest
import uvicorn
from dagster._core.test_utils import create_test_daemon_workspace_context, instance_for_test
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver.webserver import DagsterWebserver
from programs import free_port, programs, until


@contextmanager
def _served(app: object) -> Iterator[int]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "Dagster's webserver")
    yield port
    server.should_exit = server.force_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def webservers() -> Iterator[dict[str, int]]:
    """Ports of webservers with no code location, by their prefix."""
    programs()
    with ExitStack() as stack:
        instance = stack.enter_context(instance_for_test(temp_dir=mkdtemp()))
        workspace = stack.enter_context(
            create_test_daemon_workspace_context(EmptyWorkspaceTarget(), instance)
        )
        yield {
            prefix: stack.enter_context(
                _served(DagsterWebserver(workspace, prefix).create_asgi_app())
            )
            for prefix in ("", "/dagster")
        }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gateway's own."""
    return tmp_path / "gateway"
