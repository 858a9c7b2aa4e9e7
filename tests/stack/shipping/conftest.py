"""Releases of elt; at the end the project's own serves again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import Stack
from releases import put_back


@pytest.fixture(autouse=True, scope="package")
def _as_before(stack: Stack) -> Iterator[None]:
    with put_back(stack):
        yield
