"""Threads that follow Docker Engine for as long as the daemon lives."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod

from tenacity import Retrying, before_sleep_log, retry_if_exception_type, wait_exponential

from compose_run_launcher import images
from compose_run_launcher.engine import Engine

logger = logging.getLogger(__name__)


class Watch(threading.Thread, ABC):
    """A thread that never ends: whatever breaks its work is logged, and the work begun anew.

    The engine restarts, a gateway ends idle streams, Postgres is upgraded; so each beginning
    first looks at all that is there, and nothing is missed meanwhile.
    """

    def __init__(self, name: str, engine: Engine) -> None:
        super().__init__(name=name, daemon=True)
        self.engine = engine

    def run(self) -> None:
        """Follow for ever."""
        while True:
            Retrying(
                retry=retry_if_exception_type(Exception),
                wait=wait_exponential(max=5),
                before_sleep=before_sleep_log(logger, logging.WARNING),
            )(self.follow)

    @abstractmethod
    def follow(self) -> None:
        """Look at all that is there, then follow events until the connection ends."""


class ReleaseWatch(Watch):
    """Gives every release that goes live its lasting name, before a run of it has to wait.

    A run that is queued behind a limit keeps the release that it was created with, even when
    its location is rebuilt meanwhile; so the image must be named when its server becomes
    healthy, and not only when the first run of it is launched.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__("release-watch", engine)

    def follow(self) -> None:
        """Pin the images of all code locations, then of each that becomes healthy."""
        since = time.time()
        for container in self.engine.code_locations():
            images.pin(self.engine, container)
        for container_id in self.engine.healthy_code_locations(since):
            healthy = self.engine.container(container_id)
            if healthy is not None:
                images.pin(self.engine, healthy)
