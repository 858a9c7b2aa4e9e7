"""urllib3's retries, with an end: a server may make us wait so long, and all waits so long."""

import time
from collections.abc import Callable
from typing import Any, Self

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

# The limit is ours to check: urllib3 would come back earlier than it was asked to.
_UNLIMITED_S = 10**9


class GaveUp(Exception):
    """This run's attempts have ended; the message is the reason. `may_pass`: a later one may do."""

    def __init__(self, reason: str, status: int | None = None, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.may_pass = may_pass


class Deadline:
    """The end of all attempts, `limit_s` seconds from now."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._end_s = clock() + limit_s

    def left_s(self) -> float:
        """Seconds that are left, more than none. Raises GaveUp when the time is up."""
        left = self._end_s - self._clock()
        if left <= 0:
            raise GaveUp(f"the time for all pages, {self.limit_s:g} s, is up", may_pass=True)
        return left


class PoliteRetry(Retry):
    """Retries that do as Retry-After says, be it seconds or a date, or give up.

    Raises GaveUp instead of sleeping when a Retry-After is above `retry_after_limit_s`, or when
    the sleep would end after the deadline. A Retry-After that cannot be read counts as none.
    """

    def __init__(
        self, *args: Any, deadline: Deadline, retry_after_limit_s: float, **options: Any
    ) -> None:
        options.setdefault("retry_after_max", _UNLIMITED_S)
        super().__init__(*args, **options)
        self._deadline = deadline
        self._retry_after_limit_s = retry_after_limit_s

    def new(self, **options: Any) -> Self:
        return super().new(
            **options, deadline=self._deadline, retry_after_limit_s=self._retry_after_limit_s
        )

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        *args: Any,
        **options: Any,
    ) -> Self:
        following = super().increment(method, url, response, *args, **options)
        if response is not None:
            # urllib3 would read the refused answer to its end, which need not come.
            response.close()
        return following

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            return super().get_retry_after(response)
        except InvalidHeader:
            return None

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        asked_s = self.get_retry_after(response) if response is not None else None
        status = response.status if response is not None else None
        if asked_s and asked_s > self._retry_after_limit_s:
            raise GaveUp(
                f"status {status} asks to wait {asked_s:.0f} s (Retry-After), "
                f"more than the limit of {self._retry_after_limit_s:g} s",
                status,
            )
        wait_s = asked_s or self.get_backoff_time()
        if wait_s >= self._deadline.left_s():
            answered = f"status {status}" if status else "no answer"
            raise GaveUp(
                f"{answered}, and a wait of {wait_s:.0f} s would end after the time for all "
                f"pages, {self._deadline.limit_s:g} s",
                status,
                # A new attempt of the step would come before the time that the server asked for.
                may_pass=not asked_s,
            )
        super().sleep(response)
