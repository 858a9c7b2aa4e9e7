"""Runs keep the image that they were created with.

A code server names its image by content (``DAGSTER_CURRENT_IMAGE``, made by the image's own
entrypoint), because a container cannot know its image's id. ``docker compose build`` knows
nothing of that name. So the first time that a run of a new release is seen, the image of the
service container whose server claims the name gets it as a tag. The tag outlives the service,
and keeps the image from being pruned as dangling.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import GetCurrentImageResult
from dagster._serdes import deserialize_value

from compose_run_launcher.engine import Engine, addresses

_GRPC_PORT = 4000

logger = logging.getLogger(__name__)


class ImageUnavailable(Exception):
    """The image that a run was created with cannot be had any more."""


def resolve(
    engine: Engine, image: str, location: str, services: list[dict[str, Any]]
) -> dict[str, Any]:
    """The inspected image of a run, named ``image`` by the server that created the run.

    Raises ImageUnavailable when it is neither on this engine, nor served by one of
    ``services``, nor to be pulled.
    """
    found = engine.image(image) or _pin(engine, image, services)
    if found is not None:
        return found
    if not _is_remote(image, engine.project):
        raise ImageUnavailable(
            f"The image {image} of code location {location!r} is not on this Docker Engine, and"
            " no container of the location serves it any more. Launch the job again to run it"
            " with the release that is live now."
        )
    engine.pull(image)
    found = engine.image(image)
    if found is None:
        raise ImageUnavailable(f"The image {image} was pulled and is still not there.")
    return found


def pin(engine: Engine, image: str, location: str) -> None:
    """Make sure that ``image`` stays to be had after its service has been replaced."""
    if engine.image(image) is None:
        _pin(engine, image, engine.service_containers(location))


def _pin(engine: Engine, image: str, services: list[dict[str, Any]]) -> dict[str, Any] | None:
    for service in services:
        if service["State"]["Running"] and image == _claimed_image(service):
            engine.tag(service["Image"], image)
            return engine.image(image)
    return None


def _claimed_image(service: Mapping[str, Any]) -> str | None:
    """What the container's code server names as its image; None while it does not answer."""
    for address in addresses(service):
        client = DagsterGrpcClient(host=address, port=_GRPC_PORT)
        try:
            return _current_image(client)
        except DagsterUserCodeUnreachableError as error:
            logger.debug("no code server at %s: %s", address, error)
    return None


def _current_image(client: DagsterGrpcClient) -> str | None:
    answer = deserialize_value(client.get_current_image(), GetCurrentImageResult)
    return answer.current_image


def _is_remote(image: str, project: str) -> bool:
    """Whether a registry may have the image; what this stack built itself is only here."""
    return not image.startswith(f"{project}/")
