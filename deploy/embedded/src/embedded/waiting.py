"""Waiting for a condition with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

_INTERVAL_S = 0.05


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until ``condition`` holds; False when it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_INTERVAL_S)
    return True
