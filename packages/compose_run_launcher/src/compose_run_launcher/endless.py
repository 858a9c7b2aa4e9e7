"""Threads that live for as long as the daemon does."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod

from tenacity import Retrying, before_sleep_log, retry_if_exception_type, wait_exponential

logger = logging.getLogger(__name__)


class Endless(threading.Thread, ABC):
    """A thread that never ends: after an error it logs the traceback and starts its work again."""

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
