"""Who calls, what a legitimate run container is, and a run of this stack to call about."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from docker_gateway_caller import VERSION, Caller, caller, copy_of
from harness import Stack


@pytest.fixture(scope="module")
def daemon(stack: Stack) -> Iterator[Caller]:
    """The one that launches."""
    with caller(stack, "daemon") as found:
        yield found


@pytest.fixture(scope="module")
def webserver(stack: Stack) -> Iterator[Caller]:
    """The one that terminates runs."""
    with caller(stack, "webserver") as found:
        yield found


@pytest.fixture(scope="module")
def _copy(stack: Stack) -> dict[str, Any]:
    return copy_of(stack, "analytics", str(uuid.uuid4()))


@pytest.fixture
def body(_copy: dict[str, Any]) -> dict[str, Any]:
    """What the launcher would send; the test may change it."""
    return copy.deepcopy(_copy)


@pytest.fixture(scope="module")
def name(stack: Stack, _copy: dict[str, Any]) -> str:
    """The name of the run container that ``body`` is."""
    return f"{stack.project}-run-{_copy['Labels']['dagster/run_id']}"


@pytest.fixture(scope="module")
def run_container(stack: Stack, daemon: Caller, _copy: dict[str, Any]) -> Iterator[str]:
    """Id of a container that runs as a run's."""
    run_id = str(uuid.uuid4())
    name = f"{stack.project}-run-{run_id}"
    body = _copy | {"Labels": _copy["Labels"] | {"dagster/run_id": run_id}}
    made = daemon.ask("POST", f"{VERSION}/containers/create?name={name}", body)
    assert made.status == 201, made
    identity = stack.inspect(name)["Id"]
    assert daemon.ask("POST", f"{VERSION}/containers/{identity}/start").status == 204
    yield identity
    assert daemon.ask("DELETE", f"{VERSION}/containers/{identity}?force=True&v=True").status == 204
