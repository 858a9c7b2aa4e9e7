"""A run container's definition, derived from its code location's service container.

Pure functions over what ``GET /containers/{id}/json`` and ``GET /images/{name}/json`` answer;
the result is the body of ``POST /containers/create``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compose_run_launcher import labels as label

# A run is neither a server nor a supervised service: none of this fits it.
_NOT_A_RUNS_CONFIG = {
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Cmd",
    "Domainname",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Hostname",
    "Image",
    "Labels",
    "MacAddress",
    "OnBuild",
    "OpenStdin",
    "StdinOnce",
    "Tty",
    "Volumes",
}
_NOT_A_RUNS_HOST_CONFIG = {
    "AutoRemove",
    "ConsoleSize",
    "ContainerIDFile",
    "Links",
    "PortBindings",
    "PublishAllPorts",
    "RestartPolicy",
}
# Where the service says nothing of its own, the run's image decides: it may be another release.
_IMAGE_DEFAULTS = ("User", "WorkingDir", "Entrypoint", "StopSignal", "Shell", "ArgsEscaped")


@dataclass(frozen=True)
class RunContainer:
    """What to create: the engine's request body, and the networks to join after the first."""

    config: dict[str, Any]
    further_networks: tuple[str, ...]


def run_container(
    service: Mapping[str, Any],
    service_image: Mapping[str, Any],
    *,
    image: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    labels: Mapping[str, str],
) -> RunContainer:
    """Copy ``service`` for one run.

    ``service`` and ``service_image`` are the inspected service container and its image; the run
    starts ``image``, which is another one when the service has been replaced since the run was
    created. ``environment`` and ``labels`` are added to the service's own.
    """
    config = {
        key: value for key, value in service["Config"].items() if key not in _NOT_A_RUNS_CONFIG
    }
    image_config = service_image.get("Config") or {}
    for key in _IMAGE_DEFAULTS:
        if config.get(key) == image_config.get(key):
            config.pop(key, None)
    networks = _networks(service)
    host_config = {
        key: value
        for key, value in service["HostConfig"].items()
        if key not in _NOT_A_RUNS_HOST_CONFIG
    }
    if networks is not None:
        host_config["NetworkMode"] = networks[0] if networks else "none"
    config |= {
        "Image": image,
        "Cmd": list(command),
        "Env": _environment(service, image_config, environment),
        "Labels": _labels(service, image_config) | dict(labels),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host_config,
    }
    return RunContainer(config, tuple((networks or [])[1:]))


def _networks(service: Mapping[str, Any]) -> list[str] | None:
    """Names of the service's networks; None when it shares another container's or the host's.

    The RPC network is left out: the code server there answers whoever reaches it.
    """
    mode = service["HostConfig"].get("NetworkMode", "")
    if mode in {"host", "none"} or mode.startswith("container:"):
        return None
    project = (service["Config"].get("Labels") or {}).get(label.COMPOSE_PROJECT, "")
    joined = service["NetworkSettings"]["Networks"]
    names = sorted(name for name in joined if not name.startswith(label.rpc_prefix(project)))
    # The engine reports the network of creation as the mode; it stays first.
    return sorted(names, key=lambda name: name != mode)


def _environment(
    service: Mapping[str, Any], image_config: Mapping[str, Any], extra: Mapping[str, str]
) -> list[str]:
    """The service's own variables; what it has from its image comes from the run's image."""
    from_image = set(image_config.get("Env") or [])
    own = [entry for entry in service["Config"].get("Env") or [] if entry not in from_image]
    kept = [entry for entry in own if entry.partition("=")[0] not in extra]
    return kept + [f"{name}={value}" for name, value in extra.items()]


def _labels(service: Mapping[str, Any], image_config: Mapping[str, Any]) -> dict[str, str]:
    """The service's own labels. Compose's are blanked, not only left out: `docker compose build`
    puts some on the image, and with them Compose would take the run for one of its containers."""
    from_image = image_config.get("Labels") or {}
    blank = {name: "" for name in from_image if name.startswith(label.COMPOSE_PREFIX)}
    own = {
        name: value
        for name, value in (service["Config"].get("Labels") or {}).items()
        if not name.startswith(label.COMPOSE_PREFIX) and from_image.get(name) != value
    }
    return blank | {label.COMPOSE_PROJECT: "", label.COMPOSE_SERVICE: ""} | own
