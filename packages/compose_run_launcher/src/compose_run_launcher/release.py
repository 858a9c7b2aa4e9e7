"""What a code server says of itself over gRPC."""

from __future__ import annotations

import logging
import threading
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compose_run_launcher import labels
from compose_run_launcher.engine import rpc_addresses
from compose_run_launcher.internals import (
    DagsterGrpcClient,
    DagsterUserCodeUnreachableError,
    ListRepositoriesResponse,
    deserialize_value,
    serialize_value,
)

_GRPC_PORT = 4000
# Former releases that are remembered for runs which still wait; far more than anybody keeps.
_MOST_FORMER = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Release:
    """What runs of a location need to know: its image, its Python, where its definitions are.

    ``image`` is None when the server does not name one. ``pointers`` are serialized code
    pointers, one per repository.
    """

    image: str | None
    python: str
    pointers: tuple[str, ...]
    entry_point: tuple[str, ...] = ()


class Releases:
    """What is known of releases: each service container is asked once, former ones are remembered.

    A service container serves one release all its life. The watches ask; a launch looks up what
    they have learnt, because a server that does not answer must hold up nobody's runs.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._by_service: dict[str, Release] = {}
        self._by_image: dict[tuple[str, str], Release] = {}

    def of(self, service: Mapping[str, Any]) -> Release | None:
        """The release in an inspected service container; None while its server does not answer."""
        known = self._by_service.get(service["Id"])
        release = known or ask_release(service)
        if known is None and release is not None:
            with self._guard:
                self._by_service[service["Id"]] = release
                self._remember(service["Config"]["Labels"][labels.COMPOSE_SERVICE], release)
        return release

    def with_image(self, location: str, image: str) -> Release | None:
        """The location's release with this image, if it has been asked."""
        return self._by_image.get((location, image))

    def forget_all_but(self, service_ids: Container[str]) -> None:
        """Drop what is known of service containers that are gone; not of their images."""
        with self._guard:
            self._by_service = {k: v for k, v in self._by_service.items() if k in service_ids}

    def _remember(self, location: str, release: Release) -> None:
        if release.image is not None:
            self._by_image.setdefault((location, release.image), release)
        while len(self._by_image) > _MOST_FORMER:
            del self._by_image[next(iter(self._by_image))]


def ask_release(service: Mapping[str, Any]) -> Release | None:
    """What the code server in an inspected service container serves; None while it does not."""
    for address in rpc_addresses(service):
        client = DagsterGrpcClient(host=address, port=_GRPC_PORT)
        try:
            answer = deserialize_value(client.list_repositories())
        except DagsterUserCodeUnreachableError as error:
            logger.debug("no code server at %s: %s", address, error)
            continue
        # One that has failed to load its code says so instead.
        if isinstance(answer, ListRepositoriesResponse):
            pointers: Iterable[Any] = answer.repository_code_pointer_dict.values()
            return Release(
                answer.container_image,
                answer.executable_path or "python",
                tuple(serialize_value(pointer) for pointer in pointers),
                tuple(answer.entry_point or ()),
            )
    return None
