"""The stack's backup service, and what it has made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness import Stack


@contextmanager
def backed_up(stack: Stack) -> Iterator[None]:
    """With the profile; whoever asks for it starts the service, which ends with it."""
    former = dict(stack.settings)
    stack.settings["COMPOSE_PROFILES"] = ",".join(
        filter(None, [stack.environment["COMPOSE_PROFILES"], "backup"])
    )
    try:
        yield
    finally:
        stack.compose("rm", "--stop", "--force", "backup")
        stack.settings.clear()
        stack.settings.update(former)


def listed(stack: Stack) -> dict[str, Any]:
    """All backups and the last results."""
    found: dict[str, Any] = json.loads(
        stack.run("deploy/stackctl/stackctl", "backups", "--json").splitlines()[-1]
    )
    return found
