"""A lock per run, so that one launch of it is under way at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Locks:
    """A lock per key, for as long as somebody uses it."""

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
