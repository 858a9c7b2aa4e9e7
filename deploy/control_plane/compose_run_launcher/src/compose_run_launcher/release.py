"""What a code server says of itself over gRPC."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import ListRepositoriesResponse
from dagster._serdes import deserialize_value, serialize_value

from compose_run_launcher.engine import rpc_addresses

_GRPC_PORT = 4000

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
            )
    return None
