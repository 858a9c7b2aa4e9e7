"""Gives every release that goes live its lasting name, before a run of it may have to wait.

A run that is queued behind a limit keeps the release that it was created with, even when its
location is rebuilt meanwhile; so the image must be named when its server becomes healthy, and
not only when the first run of it is launched.
"""

from __future__ import annotations

import logging
import threading
import time

import docker.errors
import requests.exceptions
from tenacity import Retrying, before_sleep_log, retry_if_exception_type, wait_exponential

from compose_run_launcher import images
from compose_run_launcher.engine import Engine

# What a broken or silent connection raises: the engine restarts, a gateway ends idle streams.
CONNECTION_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException)

logger = logging.getLogger(__name__)


class ReleaseWatch(threading.Thread):
    """Follows the engine's events for code-location containers, and pins their images.

    Each connection starts with a look at all that runs, so nothing is missed while the engine
    or this process was away.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(name="release-watch", daemon=True)
        self._engine = engine

    def run(self) -> None:
        """Never ends; every lost connection is made anew."""
        while True:
            Retrying(
                retry=retry_if_exception_type(CONNECTION_ERRORS),
                wait=wait_exponential(max=15),
                before_sleep=before_sleep_log(logger, logging.WARNING),
            )(self._follow)

    def _follow(self) -> None:
        since = time.time()
        for container in self._engine.code_locations():
            images.pin(self._engine, container)
        for container_id in self._engine.healthy_code_locations(since):
            healthy = self._engine.container(container_id)
            if healthy is not None:
                images.pin(self._engine, healthy)
