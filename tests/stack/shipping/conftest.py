"""Releases of elt; at the end the project's own serves again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import FULL, KEEP, QUIET, Stack
from releases import put_back


@pytest.fixture(autouse=True, scope="package")
def _as_before(stack: Stack) -> Iterator[None]:
    if QUIET and not (KEEP or FULL):
        # The last scenario of a stack that is removed now.
        yield
        return
    with put_back(stack):
        yield
