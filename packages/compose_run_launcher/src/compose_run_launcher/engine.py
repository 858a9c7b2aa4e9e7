"""The calls to Docker Engine that launching runs needs, and no others."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors
import docker.utils
import requests.exceptions

from compose_run_launcher import API_VERSION
from compose_run_launcher import labels as label
from compose_run_launcher.internals import update_container
from compose_run_launcher.service_copy import RunContainer

# Longer than any grace in which a container may stop, which is when the engine answers.
_TIMEOUT_S = 150

# What engine and registries say when they cannot do now what they can do later.
_SHORTAGES = (
    "toomanyrequests",
    "too many requests",
    "rate limit",
    "no space left on device",
    "i/o timeout",
    "tls handshake timeout",
    "connection refused",
    "connection reset",
    "temporary failure in name resolution",
    "server misbehaving",
)


@dataclass(frozen=True)
class RunContainerState:
    """One run container in a listing; ``created`` is Unix time in whole seconds.

    ``run_id`` is empty for a standby worker that has no run yet; ``ticket`` is empty for a
    container that was made for its run.
    """

    id: str
    run_id: str
    state: str
    created: float
    ticket: str = ""

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.state in {"running", "paused", "restarting"}


class Engine:
    """One stack's view of Docker Engine, reached through ``DOCKER_HOST``.

    One client serves the process: a client per call leaves sockets behind.
    """

    def __init__(self, project: str) -> None:
        self.project = project
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def api(self) -> Any:
        """The low-level client, made at first use so that loading an instance needs no engine."""
        with self._lock:
            if self._client is None:
                self._client = docker.APIClient(
                    version=API_VERSION, timeout=_TIMEOUT_S, **docker.utils.kwargs_from_env()
                )
            return self._client

    def close(self) -> None:
        """Give the sockets back."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def service_containers(self, location: str) -> list[dict[str, Any]]:
        """Inspected containers of the location's service: running ones first, newest first.

        Stopped ones count too: a service that is down still says how it is configured.
        """
        wanted = {
            label.COMPOSE_PROJECT: self.project,
            label.COMPOSE_SERVICE: location,
            label.COMPOSE_ONEOFF: "False",
        }
        listed = self.api.containers(all=True, filters={"label": _equal(wanted)})
        found = [container for container in listed if not _is_candidate(container)]
        ordered = sorted(found, key=lambda c: (c["State"] != "running", -c["Created"]))
        inspected = (self.container(container["Id"]) for container in ordered)
        return [container for container in inspected if container is not None]

    def code_locations(self) -> list[dict[str, Any]]:
        """Inspected containers of all code locations that run now."""
        inspected = (self.container(found["Id"]) for found in self.list_code_locations())
        return [container for container in inspected if container is not None]

    def list_code_locations(self) -> list[dict[str, Any]]:
        """All code locations that run now, as a listing shows them: id, labels, state."""
        filters = {"label": _equal(self._code_location_labels())}
        found: list[dict[str, Any]] = self.api.containers(filters=filters)
        return [container for container in found if not _is_candidate(container)]

    def healthy_code_locations(self, since: float) -> Iterator[str]:
        """Ids of code-location containers as they become healthy, from a Unix time on."""
        for event in self._events(since, "health_status", self._code_location_labels()):
            name = event["Actor"]["Attributes"].get("name", "")
            if event["Action"] == "health_status: healthy" and not label.names_candidate(name):
                yield event["Actor"]["ID"]

    def ended_runs(self, since: float) -> Iterator[str]:
        """Ids of run containers as they end, from a Unix time on."""
        for event in self._events(since, "die", self._run_labels()):
            yield event["Actor"]["ID"]

    def run_containers(self, run_id: str | None = None) -> list[RunContainerState]:
        """This stack's run containers, ended ones too; those of one run, if it is named."""
        filters: dict[str, Any] = {"label": _equal(self._run_labels())}
        if run_id is not None:
            filters["name"] = label.run_name(self.project, run_id)
        return self._list(filters)

    def standby_containers(self) -> list[RunContainerState]:
        """Those that were made as standby workers, whether they have got a run or not."""
        return self._list({"label": [*_equal(self._run_labels()), label.TICKET]})

    def _list(self, filters: Mapping[str, Any]) -> list[RunContainerState]:
        return [
            RunContainerState(
                id=container["Id"],
                run_id=label.run_of(self.project, container["Names"][0]),
                state=container["State"],
                created=float(container["Created"]),
                ticket=container["Labels"].get(label.TICKET, ""),
            )
            for container in self.api.containers(all=True, filters=filters)
        ]

    def run_of(self, container: Mapping[str, Any]) -> str:
        """The id of the run that an inspected container belongs to; empty when there is none."""
        return label.run_of(self.project, container["Name"])

    def _events(
        self, since: float, event: str, wanted: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        """Container events; ends, or raises what the client raises, when the connection does."""
        filters = {"type": "container", "event": event, "label": _equal(wanted)}
        events: Iterator[dict[str, Any]] = self.api.events(
            since=int(since), decode=True, filters=filters
        )
        return events

    def _run_labels(self) -> dict[str, str]:
        return {label.STACK: self.project, label.ROLE: label.ROLE_RUN}

    def _code_location_labels(self) -> dict[str, str]:
        return {
            label.COMPOSE_PROJECT: self.project,
            label.COMPOSE_ONEOFF: "False",
            label.ROLE: label.ROLE_CODE_LOCATION,
        }

    def container(self, container_id: str) -> dict[str, Any] | None:
        """The inspected container, or None when there is none of that id."""
        try:
            found: dict[str, Any] = self.api.inspect_container(container_id)
        except docker.errors.NotFound:
            return None
        return found

    def container_of(self, run_id: str, tagged: str | None = None) -> dict[str, Any] | None:
        """The run's inspected container; None without one.

        ``tagged`` is what a tag of the run says, which is in a database that others write to,
        and which a launch that was cut off did not come to write. The container's name is given by
        the launcher alone.
        """
        named = self.container(label.run_name(self.project, run_id))
        if not tagged or (named and named["Id"] == tagged):
            return named
        # Of a run that was resumed, which has a container of another name.
        found = self.container(tagged)
        return found if found and self.run_of(found) == run_id else named

    def image(self, reference: str) -> dict[str, Any] | None:
        """The inspected image, or None when this engine does not have it."""
        try:
            found: dict[str, Any] = self.api.inspect_image(reference)
        except docker.errors.ImageNotFound:
            return None
        return found

    def tag(self, image_id: str, reference: str) -> None:
        """Give an image a further name."""
        repository, _, tag = reference.rpartition(":")
        self.api.tag(image_id, repository, tag)

    def pull(self, reference: str) -> None:
        """Fetch an image from its registry; APIError says why it cannot be had."""
        for step in self.api.pull(reference, stream=True, decode=True):
            # Once the engine has begun to answer, it can only tell an error so.
            if "error" in step:
                raise docker.errors.APIError(step["error"])

    def create(self, name: str, container: RunContainer) -> str:
        """Create a container, join its networks, and return its id."""
        container_id: str = self.api.create_container_from_config(container.config, name)["Id"]
        try:
            for network in container.further_networks:
                self.api.connect_container_to_network(container_id, network)
        except docker.errors.APIError:
            self.discard(container_id)
            raise
        return container_id

    def start(self, container_id: str) -> None:
        """Start a created container."""
        self.api.start(container_id)

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name; refused when another container has it."""
        self.api.rename(container_id, name)

    def update(self, container_id: str, host_config: Mapping[str, Any]) -> None:
        """Change limits of a container that may run."""
        update_container(self.api, container_id, host_config)

    def wake(self, container_id: str) -> None:
        """Send SIGUSR1; refused when the container does not run."""
        self.api.kill(container_id, signal="SIGUSR1")

    def stop(self, container_id: str) -> None:
        """Ask a container to end, and end it after its own grace."""
        self.api.stop(container_id)

    def end(self, container_id: str) -> None:
        """End a container without grace; returns when it has ended."""
        self.api.stop(container_id, timeout=0)

    def log(self, container_id: str, lines: int) -> str:
        """The last lines that a container wrote, both streams in one."""
        content: bytes = self.api.logs(container_id, stdout=True, stderr=True, tail=lines)
        return content.decode(errors="replace")

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run, and its anonymous volumes."""
        self.api.remove_container(container_id, v=True)

    def discard(self, container_id: str) -> None:
        """Kill a container if it runs, and remove it; one that is gone is fine."""
        with contextlib.suppress(docker.errors.NotFound):
            self.api.remove_container(container_id, v=True, force=True)


def may_pass(error: BaseException) -> bool:
    """Whether a call that failed so may succeed later: nobody answered, or something is short."""
    if isinstance(error, docker.errors.APIError):
        status = error.response.status_code if error.response is not None else 0
        text = f"{error} {error.explanation or ''}".lower()
        return status in {502, 503, 504} or any(words in text for words in _SHORTAGES)
    return isinstance(error, (docker.errors.DockerException, requests.exceptions.RequestException))


def _is_candidate(listed: Mapping[str, Any]) -> bool:
    return any(label.names_candidate(name) for name in listed["Names"] or ())


def rpc_addresses(container: Mapping[str, Any]) -> list[str]:
    """Where an inspected code-location container's server listens, as far as it has an address."""
    project = (container["Config"].get("Labels") or {}).get(label.COMPOSE_PROJECT, "")
    networks = container["NetworkSettings"]["Networks"].items()
    prefix = label.rpc_prefix(project)
    return [
        each["IPAddress"]
        for name, each in networks
        if name.startswith(prefix) and each.get("IPAddress")
    ]


def _equal(labels: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in labels.items()]
