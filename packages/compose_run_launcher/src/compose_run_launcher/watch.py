"""Threads that follow Docker Engine for as long as the daemon lives."""

from __future__ import annotations

import time
from abc import abstractmethod

from compose_run_launcher import images
from compose_run_launcher.endless import Endless
from compose_run_launcher.engine import Engine
from compose_run_launcher.release import Releases


class Watch(Endless):
    """Follows one engine.

    The engine restarts, a gateway ends idle streams, Postgres is upgraded; so each beginning
    first looks at all that is there, and nothing is missed meanwhile.
    """

    def __init__(self, name: str, engine: Engine) -> None:
        super().__init__(name)
        self.engine = engine

    @abstractmethod
    def follow(self) -> None:
        """Look at all that is there, then follow events until the connection ends."""


class ReleaseWatch(Watch):
    """Gives every release that goes live its lasting name, before a run of it has to wait.

    A run that is queued behind a limit keeps the release that it was created with, even when
    its location is rebuilt meanwhile; so the image must be named when its server becomes
    healthy, and not only when the first run of it is launched.
    """

    def __init__(self, engine: Engine, releases: Releases) -> None:
        super().__init__("release-watch", engine)
        self._releases = releases

    def follow(self) -> None:
        """Pin the images of all code locations, then of each that becomes healthy."""
        since = time.time()
        for container in self.engine.code_locations():
            images.pin(self.engine, container, self._releases)
        for container_id in self.engine.healthy_code_locations(since):
            healthy = self.engine.container(container_id)
            if healthy is not None:
                images.pin(self.engine, healthy, self._releases)
