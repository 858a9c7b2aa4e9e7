"""Waiting for what somebody else brings about."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed


def until(condition: Callable[[], bool], seconds: float, every: float) -> bool:
    """Whether the condition held within ``seconds``; it is looked at once per ``every`` seconds."""
    looking = Retrying(
        retry=retry_if_result(lambda held: not held),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(every),
    )
    try:
        return looking(condition)
    except RetryError:
        return False
