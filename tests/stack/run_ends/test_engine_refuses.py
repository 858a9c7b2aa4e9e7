"""What the engine cannot do: tried again where it may pass, else said plainly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from werkzeug import Request, Response

from harness import Stack
from registry import registry
from runs import launch


@contextmanager
def image_of_scenarios(stack: Stack, image: str) -> Iterator[None]:
    """The location says that its runs need this image."""
    compose = stack.folder / stack.additions
    original = compose.read_text()
    try:
        compose.write_text(
            original.replace(
                "      DAGSTER_LOCATION_NAME: scenarios\n",
                f"      DAGSTER_LOCATION_NAME: scenarios\n      DAGSTER_CURRENT_IMAGE: {image}\n",
            )
        )
        stack.compose("up", "--detach", "--wait", "--no-deps", "scenarios")
        # The webserver creates runs, and learns of the other image a moment later.
        waits = ["entrypoint", "control-plane", "await-release", "scenarios", image]
        stack.compose("exec", "-T", "webserver", *waits)
        yield
    finally:
        compose.write_text(original)
        stack.compose("up", "--detach", "--wait", "--no-deps", "scenarios", "ready")


@pytest.mark.long
def test_a_registry_that_limits_its_rate_and_then_refuses(stack: Stack, tmp_path: Path) -> None:
    asked = []

    def answer(request: Request) -> Response:
        if "manifests" not in request.path:
            return Response("{}", 200)
        asked.append(request.path)
        code = "TOOMANYREQUESTS" if len(asked) <= 4 else "DENIED"
        body = f'{{"errors": [{{"code": "{code}", "message": "says the registry: {code}"}}]}}'
        return Response(body, 429 if len(asked) <= 4 else 403, content_type="application/json")

    with registry(tmp_path) as server:
        server.expect_request(re.compile("/v2/.*")).respond_with_handler(answer)
        image = f"127.0.0.1:{server.port}/team/scenarios@sha256:{'1' * 64}"
        with image_of_scenarios(stack, image):
            run = launch(stack, "scenarios", "tick_job")
            run.wait("FAILURE", seconds=120)
    assert len(asked) > 4, "a refusal that may pass was not tried again"
    assert "could not be launched" in run.text()
    assert "says the registry: DENIED" in run.text()


@pytest.mark.long
def test_a_network_that_is_gone(stack: Stack) -> None:
    network = f"{stack.project}-extra"
    stack.run("docker", "network", "create", network)
    scenarios = stack.container("scenarios")
    try:
        stack.run("docker", "network", "connect", network, scenarios)
        run = launch(stack, "scenarios", "tick_job")
        run.wait()
        assert network in run.container["NetworkSettings"]["Networks"]
        stack.compose("stop", "daemon")
        run = launch(stack, "scenarios", "tick_job")
        stack.compose("stop", "scenarios")
        stack.run("docker", "network", "rm", network)
        stack.compose("start", "daemon")
        run.wait("FAILURE")
        assert network in run.text()
        assert "could not be launched" in run.text()
        name = f"name={stack.project}-run-{run.id}"
        assert not stack.run("docker", "ps", "-aq", "--filter", name)
    finally:
        stack.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "scenarios")
        stack.compose("start", "daemon")
        stack.run("docker", "network", "rm", network, check=False)
