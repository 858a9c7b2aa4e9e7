"""A gateway before the stack's webserver, with short timeouts and small limits.

Without a stack, while rules are written: WEB_GATEWAY_IMAGE, WEB_GATEWAY_SECRETS (the images of
gateway and secrets), WEB_GATEWAY_WEBSERVER (host:port as
seen from Docker's bridge network) and WEB_GATEWAY_LOCATION name what stands in for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from web_gateways import Gateway, Upstream, web_gateway

BODY_LIMIT = 100_000


@pytest.fixture(scope="session")
def upstream(request: pytest.FixtureRequest) -> Upstream:
    """The gateway's image, and a webserver to put it in front of."""
    if image := os.environ.get("WEB_GATEWAY_IMAGE"):
        return Upstream(
            image, "bridge", os.environ["WEB_GATEWAY_WEBSERVER"], os.environ["WEB_GATEWAY_SECRETS"]
        )
    stack = request.getfixturevalue("stack")
    return Upstream(
        f"{stack.project}/web-gateway:live",
        f"{stack.project}_web",
        "webserver-ui:3000",
        f"{stack.project}/secrets:live",
    )


@pytest.fixture(scope="session")
def location() -> str:
    """A code location with tick_job, which is short, and hanging_job, which does not end."""
    return os.environ.get("WEB_GATEWAY_LOCATION", "scenarios")


@pytest.fixture(scope="session")
def gateway(upstream: Upstream) -> Iterator[Gateway]:
    """A gateway with short timeouts, a small body limit and one more name."""
    with web_gateway(
        upstream,
        WEB_REQUEST_TIMEOUT_S="2",
        WEB_BODY_LIMIT_BYTES=str(BODY_LIMIT),
        WEB_HOSTS="dagster.example.com",
    ) as gateway:
        yield gateway
