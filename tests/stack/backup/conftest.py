"""The stack with its backup service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backup_service import backed_up, listed
from harness import Stack, until


@pytest.fixture(scope="package")
def backups(stack: Stack) -> Iterator[Stack]:
    """The stack with the profile, whose first backup was made by itself."""

    def one() -> None:
        assert listed(stack)["backups"]

    with backed_up(stack):
        stack.compose("up", "--detach", "--build", "--wait", "backup")
        until(one, seconds=60)
        yield stack
