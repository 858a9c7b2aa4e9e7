"""The stack with its backup service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backup_service import listed
from harness import Stack, until


@pytest.fixture(scope="package")
def backups(stack: Stack) -> Iterator[Stack]:
    """The stack with the profile, whose first backup was made by itself."""
    before = stack.settings.get("COMPOSE_PROFILES")
    stack.settings["COMPOSE_PROFILES"] = ",".join(
        filter(None, [stack.environment["COMPOSE_PROFILES"], "backup"])
    )
    stack.compose("up", "--detach", "--build", "--wait", "backup")

    def one() -> None:
        assert listed(stack)["backups"]

    until(one, seconds=60)
    yield stack
    stack.compose("rm", "--stop", "--force", "backup")
    if before is None:
        del stack.settings["COMPOSE_PROFILES"]
    else:
        stack.settings["COMPOSE_PROFILES"] = before
