"""Joins webserver and daemon to the RPC network of each code location.

The networks are declared in docker-compose.yml, and code servers join them there. Were they listed
on webserver and daemon too, Compose would recreate both whenever a location is added. It leaves a
container alone that is in more networks than its file says.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.utils
import requests.exceptions
from compose_run_launcher import API_VERSION
from tenacity import Retrying, before_sleep_log, retry_if_exception_type, wait_fixed

_READY = Path("/tmp/joined")  # noqa: S108  # in a container of its own
# For an answer, and for the next event: after so long without one, look at everything again.
_TIMEOUT_S = 120
_COMPOSE = "com.docker.compose."
_ROLE = "compose_run_launcher.role"

logger = logging.getLogger(__name__)


def missing(listed: Iterable[Mapping[str, Any]], project: str) -> list[tuple[str, str]]:
    """Networks and the ids of the containers that are to join them.

    ``listed`` is the engine's listing of the project's containers, stopped ones included: they
    find themselves joined when they start.
    """
    services = [one for one in listed if one["Labels"].get(f"{_COMPOSE}oneoff") != "True"]
    networks = {
        name
        for one in services
        if one["Labels"].get(_ROLE) == "code-location"
        for name in _networks(one)
        if name.startswith(f"{project}_rpc_")
    }
    members = [one for one in services if one["Labels"].get(_ROLE) == "control-plane"]
    return [
        (network, one["Id"])
        for network in sorted(networks)
        for one in members
        if network not in _networks(one)
    ]


def _networks(listed: Mapping[str, Any]) -> Mapping[str, Any]:
    networks: Mapping[str, Any] = listed["NetworkSettings"]["Networks"]
    return networks


def join_all(api: Any, project: str) -> None:
    """Look at all containers of the project, and join what has to be joined."""
    filters = {"label": f"{_COMPOSE}project={project}"}
    for network, container in missing(api.containers(all=True, filters=filters), project):
        try:
            api.connect_container_to_network(container, network)
        except docker.errors.APIError as error:
            # It may have been removed meanwhile; one must not keep the others.
            logger.warning("%s does not join %s: %s", container[:12], network, error)
        else:
            logger.info("%s has joined %s", container[:12], network)


def follow(api: Any, project: str) -> None:
    """Join what is there, then what comes, until the stream of events ends."""
    since = int(time.time())
    join_all(api, project)
    _READY.touch()
    filters = {
        "type": "container",
        "event": ["create", "start"],
        "label": f"{_COMPOSE}project={project}",
    }
    for _ in api.events(since=since, decode=True, filters=filters):
        join_all(api, project)


def main() -> None:
    """Follow for ever."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = docker.utils.kwargs_from_env()
    Retrying(
        retry=retry_if_exception_type(
            (docker.errors.DockerException, requests.exceptions.RequestException)
        ),
        wait=wait_fixed(1),
        # A stream without events is closed after a while; then look at everything again.
        before_sleep=before_sleep_log(logger, logging.DEBUG),
    )(_follow_for_ever, options)


def _follow_for_ever(options: Mapping[str, Any]) -> None:
    api = docker.APIClient(version=API_VERSION, timeout=_TIMEOUT_S, **options)
    try:
        while True:
            follow(api, os.environ["COMPOSE_PROJECT_NAME"])
    finally:
        api.close()


if __name__ == "__main__":
    main()
