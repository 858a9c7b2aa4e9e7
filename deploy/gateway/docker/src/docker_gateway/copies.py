"""A container may be created as the copy of a code location's service, and as nothing else.

So no list of dangers is needed, which would never be complete: what the service does not have, be
it a privilege, a mount, a device or an option of next year, no run can have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docker_gateway import labels, limits
from docker_gateway.refusal import Refusal
from docker_gateway.strict_json import same
from docker_gateway.template import Template

# What says which run it is; the rest of the configuration is the service's.
_RUNS_OWN = {"Cmd", "Env", "Image", "Labels", "HostConfig", "Healthcheck"}
# Of a server, not of a run: these may only be left out.
_NOT_A_RUNS = {
    *("AttachStderr", "AttachStdin", "AttachStdout", "Domainname", "ExposedPorts", "Hostname"),
    *("MacAddress", "OnBuild", "OpenStdin", "StdinOnce", "Tty", "Volumes"),
}
_NOT_A_RUNS_HOST_CONFIG = {
    *("AutoRemove", "ConsoleSize", "ContainerIDFile", "Links", "PortBindings"),
    *("PublishAllPorts", "RestartPolicy"),
}
# Variables that a run has beside its service's.
_RUNS_VARIABLES = {"DAGSTER_RUN_JOB_NAME"}
_NO_CHECK = {"Test": ["NONE"]}
_MOST_LABEL = 4096


def rebuilt(
    body: Mapping[str, Any], own_labels: Mapping[str, str], template: Template
) -> dict[str, Any]:
    """The body to send for a copy of ``template``: its configuration, and what is the run's own.

    ``own_labels`` say which run it is, and have been checked. Raises Refusal where ``body``
    differs from the template in anything else.
    """
    if not same(body.get("Healthcheck"), _NO_CHECK):
        raise Refusal("Healthcheck is not off")
    return {
        **_config(body, template),
        "Image": body["Image"],
        "Cmd": _texts("Cmd", body.get("Cmd")),
        "Env": _environment(body, template),
        "Labels": _labels(body, own_labels, template),
        "Healthcheck": _NO_CHECK,
        "HostConfig": _host_config(body["HostConfig"], template),
    }


def _config(body: Mapping[str, Any], template: Template) -> dict[str, Any]:
    for name, asked in body.items():
        # Go reads keys in any case; only the engine's own spelling is one of the service's.
        if name in _NOT_A_RUNS and not _is_empty(asked):
            raise Refusal(f"{name} differs from what a run has")
        if name not in _RUNS_OWN | _NOT_A_RUNS and not (
            name in template.config and same(asked, template.config[name])
        ):
            raise Refusal(f"{name} differs from the service's")
    found = {}
    for name, own in template.config.items():
        if name in _RUNS_OWN | _NOT_A_RUNS:
            continue
        if name in body:
            found[name] = own
        # What comes from the image may be another release's.
        elif not _is_empty(own) and not same(own, template.image_config.get(name)):
            raise Refusal(f"{name} of the service is left out")
    return found


def _host_config(asked: Mapping[str, Any], template: Template) -> dict[str, Any]:
    for name, value in asked.items():
        if name not in template.host_config:
            raise Refusal(f"HostConfig.{name} is not one of the service's")
        if name in _NOT_A_RUNS_HOST_CONFIG and not _is_empty(value):
            raise Refusal(f"HostConfig.{name} is for services")
    found = {}
    for name, own in template.host_config.items():
        if name in _NOT_A_RUNS_HOST_CONFIG or name in limits.CREATED:
            continue
        if name == "NetworkMode":
            found[name] = _network(asked.get(name), template)
        elif same(asked.get(name), own) or (name not in asked and _is_empty(own)):
            found[name] = own
        else:
            raise Refusal(f"HostConfig.{name} differs from the service's")
    try:
        return found | limits.created(asked, template)
    except Refusal as refusal:
        raise Refusal(f"HostConfig.{refusal.reason}") from None


def _network(asked: Any, template: Template) -> str:
    mode = str(template.host_config["NetworkMode"])
    joined = template.container["NetworkSettings"]["Networks"] or {}
    # Its own mode may be none of its networks: no network at all, or another container's. One
    # that is in a network of code servers alone has runs without any.
    if (
        asked in template.networks
        or (asked == mode and mode not in joined)
        or (asked == "none" and not template.networks)
    ):
        return str(asked)
    raise Refusal("HostConfig.NetworkMode is not one of the service's networks for runs")


def _environment(body: Mapping[str, Any], template: Template) -> list[str]:
    asked = _texts("Env", body.get("Env"))
    own = template.config.get("Env") or []
    for entry in asked:
        if entry not in own and entry.partition("=")[0] not in _RUNS_VARIABLES:
            raise Refusal(f"variable {entry.partition('=')[0][:100]} differs from the service's")
    names = {entry.partition("=")[0] for entry in asked}
    of_image = template.image_config.get("Env") or []
    for entry in own:
        if entry not in of_image and entry.partition("=")[0] not in names:
            raise Refusal(f"variable {entry.partition('=')[0]} of the service is left out")
    return asked


def _labels(
    body: Mapping[str, Any], own_labels: Mapping[str, str], template: Template
) -> dict[str, str]:
    # Compose's are blanked: an image has some, and with them Compose would take the run for one
    # of its own.
    found = {labels.COMPOSE_PROJECT: "", labels.COMPOSE_SERVICE: ""}
    for name, text in body["Labels"].items():
        if name.startswith(labels.COMPOSE):
            if text != "":
                raise Refusal(f"label {name} is Compose's")
            found[name] = ""
        elif name in own_labels:
            found[name] = own_labels[name]
        elif template.labels.get(name) == text:
            found[name] = text
        else:
            raise Refusal(f"label {name} differs from the service's")
    return found


def own_labels(asked: Any, project: str, name: str, names: labels.Names) -> dict[str, str]:
    """The labels that say which run, or which worker, a new container of this name is.

    Raises Refusal when labels and name do not belong together.
    """
    if not isinstance(asked, dict) or not all(isinstance(text, str) for text in asked.values()):
        raise Refusal("there are no labels")
    location = asked.get(labels.LOCATION, "")
    if asked.get(labels.STACK) != project:
        raise Refusal("it has not this stack's label")
    if asked.get(labels.ROLE) != labels.ROLE_RUN:
        raise Refusal("its label does not say that it is a run's")
    run, worker = names.run.fullmatch(name), names.standby.fullmatch(name)
    found = {labels.STACK: project, labels.LOCATION: location, labels.ROLE: labels.ROLE_RUN}
    if run is not None:
        job = asked.get(labels.JOB_NAME, "")
        if asked.get(labels.RUN_ID) != run["run"] or len(job) > _MOST_LABEL:
            raise Refusal("its name and its labels are not of one run")
        return found | {labels.RUN_ID: run["run"], labels.JOB_NAME: job}
    if worker is None:
        raise Refusal("its name is not a run's")
    service = asked.get(labels.SERVICE, "")
    if asked.get(labels.TICKET) != worker["ticket"] or location != worker["location"]:
        raise Refusal("its name and its labels are not of one worker")
    return found | {labels.SERVICE: service, labels.TICKET: worker["ticket"]}


def _texts(name: str, asked: Any) -> list[str]:
    if not isinstance(asked, list) or not all(isinstance(text, str) for text in asked):
        raise Refusal(f"{name} is not a list of strings")
    return asked


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {}) or same(value, 0)
