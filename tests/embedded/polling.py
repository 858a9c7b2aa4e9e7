"""Waiting for what a user would wait for, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: str, ask: Callable[[], T], deadline_s: float) -> T:
    """Ask until the answer is true and return it; fail the test, naming ``what``, otherwise."""
    end = time.monotonic() + deadline_s
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}; last: {answer!r}"
        time.sleep(0.1)
