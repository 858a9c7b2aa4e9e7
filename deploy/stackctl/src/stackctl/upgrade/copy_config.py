"""The compose file of the copy that an upgrade is tried on, made from the stack's own.

What the copy does reaches nobody: all its networks are without access to the outside, it publishes
no port, and what it shares with the stack or the host is mounted read-only. It has no daemon, so
nothing is scheduled, no sensor looks, and restored runs stay in their queue; the container of that
name waits to be told to launch one run.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from stackctl.errors import StackctlError

# Of the control plane these are needed to load locations and to launch a run.
PARTS = ("docker_gateway", "rpc_networks", "workspace", "webserver", "daemon")
_SOCKET_OF_DOCKER = "docker_gateway"
_LEFT_OUT = ("ports", "profiles", "build", "develop", "extra_hosts", "container_name", "dns")


def copy_config(
    config: Mapping[str, Any], locations: Iterable[str], images: Mapping[str, str]
) -> dict[str, Any]:
    """The copy's file: ``locations`` and what they and the control plane need.

    ``config`` is the stack's, resolved for the copy's project. ``images``: by service, or by the
    image's name there. Raises StackctlError for a location that cannot be cut off.
    """
    project = str(config["name"])
    services: dict[str, Any] = {}
    for name in needed(config, [*locations, *PARTS]):
        service = copy.deepcopy(config["services"][name])
        if name in locations and service.get("network_mode") not in (None, "none"):
            raise StackctlError(
                f"{name} has network_mode {service['network_mode']!r}, so a copy of it would reach"
                " the outside. Fix: give it networks instead, in docker-compose.yml"
            )
        service["image"] = images.get(name) or images.get(service["image"], service["image"])
        _cut_off(name, service, config)
        services[name] = service
    _let_wait(services["daemon"])
    used = {key for each in services.values() for key in each.get("networks", ())}
    return {
        "name": project,
        "services": services,
        "networks": {key: config["networks"][key] | {"internal": True} for key in used},
        "volumes": config.get("volumes") or {},
    }


def _cut_off(name: str, service: dict[str, Any], config: Mapping[str, Any]) -> None:
    """Leave out of a service what leads to others, and what it does not need."""
    for key in _LEFT_OUT:
        service.pop(key, None)
    service["depends_on"] = _required(service)
    if name != _SOCKET_OF_DOCKER:
        for mount in service.get("volumes", ()):
            if _is_shared(mount, config.get("volumes") or {}, str(config["name"])):
                mount["read_only"] = True
    joined: Mapping[str, Any] = service.get("networks") or {}
    own = {key: how for key, how in joined.items() if not config["networks"][key].get("external")}
    service.pop("networks", None)
    if own:
        service["networks"] = own


def needed(config: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The services and all that they cannot start without, in the file's order."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _required(config["services"][name])
    return [name for name in config["services"] if name in found]


def _required(service: Mapping[str, Any]) -> dict[str, Any]:
    depends = service.get("depends_on") or {}
    return {name: how for name, how in depends.items() if how.get("required", True)}


def _is_shared(mount: Mapping[str, Any], volumes: Mapping[str, Any], project: str) -> bool:
    """Whether a mount is not of the copy's own: of the host, or of another project."""
    if mount["type"] == "bind":
        return True
    volume: Mapping[str, Any] = volumes.get(mount.get("source", "")) or {}
    return not str(volume.get("name", f"{project}_")).startswith(f"{project}_")


def _let_wait(daemon: dict[str, Any]) -> None:
    daemon["command"] = ["sleep", "infinity"]
    daemon["healthcheck"] = {"disable": True}
