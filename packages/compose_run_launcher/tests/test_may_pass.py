"""Which refusals of the engine are worth another try."""

from __future__ import annotations

import docker.errors
import pytest
import requests

from compose_run_launcher.engine import may_pass


def refused(status: int, explanation: str) -> docker.errors.APIError:
    """An answer of the engine."""
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("refused", response, explanation)


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("no socket"),
        refused(503, ""),
        refused(500, "toomanyrequests: You have reached your pull rate limit"),
        refused(500, "write /var/lib/docker/x: no space left on device"),
        refused(500, "dial tcp 1.2.3.4:443: i/o timeout"),
        docker.errors.APIError("toomanyrequests: slow down"),
    ],
)
def test_may_pass(error: Exception) -> None:
    assert may_pass(error)


@pytest.mark.parametrize(
    "error",
    [
        refused(404, "network x not found"),
        refused(404, "manifest unknown"),
        refused(403, "denied: requested access to the resource is denied"),
        refused(500, "exec: no such file or directory"),
        ValueError("a mistake of ours"),
    ],
)
def test_does_not_pass(error: Exception) -> None:
    assert not may_pass(error)
