"""Runs keep the image that they were created with.

A code server names its image by content (``DAGSTER_CURRENT_IMAGE``, made by the image's own
entrypoint), because a container cannot know its image's id. ``docker compose build`` knows
nothing of that name. So the image of a service container gets, as a tag, the name that its code
server claims. The tag outlives the service, and keeps the image from being pruned as dangling.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from compose_run_launcher import labels
from compose_run_launcher.belongs import repositories, repository_of
from compose_run_launcher.engine import Engine
from compose_run_launcher.release import Releases
from compose_run_launcher.threads import Endless

logger = logging.getLogger(__name__)


class ImageUnavailable(Exception):
    """The image that a run was created with cannot be had any more."""


def ensure(
    engine: Engine,
    image: str,
    location: str,
    services: list[dict[str, Any]],
    releases: Releases,
) -> None:
    """Make sure that this engine has ``image``, the name that a run's code server stated.

    Raises ImageUnavailable when it is neither here, nor served by one of ``services``, nor to
    be pulled.
    """
    if engine.image(image) is not None:
        return
    if not _is_ours(image, engine.project):
        engine.pull(image)
        if engine.image(image) is None:
            raise ImageUnavailable(f"The image {image} was pulled and is still not there.")
        return
    for service in services:
        pin(engine, service, releases)
    if engine.image(image) is None:
        raise ImageUnavailable(
            f"The image {image} of code location {location!r} is not on this Docker Engine, and"
            " no container of the location serves it any more. Launch the job again to run it"
            " with the release that is live now."
        )


def pin(engine: Engine, service: Mapping[str, Any], releases: Releases) -> None:
    """Give a service container's image the name that its code server claims, if it answers."""
    release = releases.of(service)
    image = release.image if release else None
    if image is None or not _is_ours(image, engine.project):
        return
    location = service["Config"]["Labels"][labels.COMPOSE_SERVICE]
    if not is_of(image, location, service, engine.project):
        # The name would be found by runs of the location that it is taken from.
        logger.warning("the code server of %s claims %s, which is not its own", location, image)
    elif engine.image(image) is None:
        engine.tag(service["Image"], image)
        logger.info("code location image %s is pinned", image)


def is_of(image: str, location: str, service: Mapping[str, Any], project: str) -> bool:
    """Whether an image is the location's own, as its inspected service says."""
    return repository_of(image) in repositories(service, location, project)


def _is_ours(image: str, project: str) -> bool:
    """Whether this stack built the image itself; others may be had from a registry."""
    return image.startswith(f"{project}/")


class ReleaseWatch(Endless):
    """Gives every release that goes live its lasting name, before a run of it has to wait.

    A run that is queued behind a limit keeps the release that it was created with, even when
    its location is rebuilt meanwhile; so the image must be named when its server becomes
    healthy, and not only when the first run of it is launched.
    """

    def __init__(self, engine: Engine, releases: Releases) -> None:
        super().__init__("release-watch")
        self._engine = engine
        self._releases = releases

    def follow(self) -> None:
        """Pin the images of all code locations, then of each that becomes healthy."""
        since = time.time()
        for container in self._engine.code_locations():
            pin(self._engine, container, self._releases)
        for container_id in self._engine.healthy_code_locations(since):
            healthy = self._engine.container(container_id)
            if healthy is not None:
                pin(self._engine, healthy, self._releases)
