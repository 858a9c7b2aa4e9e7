"""Threads that live for as long as the daemon does, and locks between threads."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from tenacity import Retrying, before_sleep_log, retry_if_exception_type, wait_exponential

logger = logging.getLogger(__name__)


class Endless(threading.Thread, ABC):
    """A thread that never ends: after an error it logs the traceback and starts its work again.

    Docker Engine restarts, a gateway ends idle streams, Postgres is upgraded. So each beginning
    first looks at all that is there, and nothing is missed meanwhile.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)

    def run(self) -> None:
        """Follow for ever."""
        while True:
            Retrying(
                retry=retry_if_exception_type(Exception),
                wait=wait_exponential(max=5),
                before_sleep=before_sleep_log(logger, logging.WARNING, exc_info=True),
            )(self.follow)

    @abstractmethod
    def follow(self) -> None:
        """One piece of the work, after which the next one begins at once."""


class Locks:
    """A lock per key, for as long as somebody uses it, so that a run is launched once at a time."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._used: dict[str, tuple[threading.Lock, int]] = {}

    def is_used(self, key: str) -> bool:
        """Whether somebody uses the key's lock, or waits for it."""
        with self._guard:
            return key in self._used

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        with self._guard:
            lock, users = self._used.get(key, (threading.Lock(), 0))
            self._used[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._used.pop(key)
                if users > 1:
                    self._used[key] = (lock, users - 1)
