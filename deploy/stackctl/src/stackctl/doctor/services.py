"""Checks of what runs, beside what should run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stackctl.docker import docker, inspect
from stackctl.doctor.facts import ONE_OFF, SERVICE, Facts
from stackctl.doctor.finding import Finding, NotApplicableError, check, error, ok, warning
from stackctl.mode import EMBEDDED
from stackctl.records import read, way_back
from stackctl.retention import releases, to_keep
from stackctl.service import Service, content_of

GROUP = "Services"
_HASH = "com.docker.compose.config-hash"
_LAUNCHER = "compose_run_launcher.project"
_OWN_IMAGE = ":live"


@check("services", GROUP)
def services(facts: Facts) -> Iterator[Finding]:
    """Each service of the compose file runs, and is well."""
    if not any(one["State"]["Running"] for one in facts.containers):
        yield warning("the stack is not running", "make up")
        return
    found = [
        problem
        for name in facts.stack.config["services"]
        for problem in service_state(name, facts.of_service(name))
    ]
    yield from found or [ok(f"{len(facts.stack.config['services'])} services are well")]


def service_state(name: str, containers: list[dict[str, Any]]) -> Iterator[Finding]:
    """What is wrong with a service, by `docker inspect` of its containers."""
    see = f"make logs SERVICE={name} says why; make up starts it"
    if not containers:
        yield error(f"{name} has no container", "make up")
        return
    # Of a location that is being switched, one container of two may be about to end.
    states = [one["State"] for one in containers]
    best = next((one for one in states if one["Running"]), states[0])
    if not best["Running"]:
        if best["Status"] == "exited" and best["ExitCode"] == 0 and _ends(containers[0]):
            return
        yield error(f"{name} is {best['Status']}, exit code {best['ExitCode']}", see)
        return
    if best["Status"] == "restarting":
        yield error(f"{name} dies again and again, exit code {best['ExitCode']}", see)
    elif best.get("Paused"):
        yield error(f"{name} is paused", f"docker compose unpause {name}")
    elif (health := (best.get("Health") or {}).get("Status", "healthy")) != "healthy":
        level = warning if health == "starting" else error
        yield level(f"{name} runs, and is {health}", see)
    restarts = max(one.get("RestartCount", 0) for one in containers)
    if restarts:
        yield warning(f"{name} was restarted {restarts} times after it died", see)


def _ends(container: Mapping[str, Any]) -> bool:
    """Whether a container is one that does its work and ends."""
    return container["HostConfig"]["RestartPolicy"]["Name"] in {"", "no"}


@check("processes", GROUP, (EMBEDDED,))
def processes(facts: Facts) -> Iterator[Finding]:
    """The processes of the embedded mode run."""
    if not facts.processes:
        yield warning("the embedded mode does not run", "make dev")
        return
    found = list(dead(facts.processes))
    yield from found or [ok(f"{len(facts.processes)} processes run")]


def dead(listed: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """Processes that wait for a restart, are gone, or were restarted."""
    for one in listed:
        name, fix = one["name"], f"make logs SERVICE={one['name']}"
        if one["due"] is not None or not _is_alive(one["pid"]):
            yield error(f"{name} has ended and waits for its restart", fix)
        elif one["restarts"]:
            yield warning(f"{name} was restarted {one['restarts']} times", fix)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@check("drift", GROUP)
def drift(facts: Facts) -> Iterator[Finding]:
    """What runs was made from the compose file and .env as they are now, and from their images."""
    if not facts.containers:
        raise NotApplicableError("the stack is not running")
    hashes = dict(
        line.split()
        for line in docker("compose", "config", "--hash", "*").splitlines()
        if len(line.split()) == 2
    )
    wanted = {
        name: str(facts.stack.config["services"][name]["image"])
        for name in hashes
        if name in facts.stack.config["services"]
    }
    running = {
        name: [one for one in facts.of_service(name) if one["State"]["Running"]] for name in wanted
    }
    ids = {one["Image"] for found in running.values() for one in found}
    images = inspect("image", *ids, *set(wanted.values()))
    contents = {one["Id"]: content_of(one) for one in images}
    contents |= {name: contents[one["Id"]] for one in images for name in one["RepoTags"] or ()}
    found = [
        problem
        for name, containers in running.items()
        for one in containers[:1]
        for problem in differences(name, one, hashes[name], wanted[name], contents)
    ]
    yield from found or [ok("what runs is what docker-compose.yml and .env say")]


def differences(
    name: str,
    container: Mapping[str, Any],
    wanted_hash: str,
    image: str,
    contents: Mapping[str, str],
) -> Iterator[Finding]:
    """How a container differs from its service: by its settings, or its image's content."""
    if container["Config"]["Labels"].get(_HASH) != wanted_hash:
        yield warning(
            f"{name} runs with other settings than docker-compose.yml and .env say now",
            "make up applies them",
        )
    has = contents.get(container["Image"])
    if has is None:
        yield error(
            f"the image that {name} runs is gone from the engine: it cannot be started again",
            "make up builds it",
        )
    elif contents.get(image, has) != has:
        yield warning(
            f"{name} runs {container['Image'][7:19]}, and {image} is another image by now",
            f"make deploy LOCATION={name}, or make up"
            if container["Config"]["Labels"].get("compose_run_launcher.role") == "code-location"
            else "make up",
        )


@check("strangers", GROUP)
def strangers(facts: Facts) -> Iterator[Finding]:
    """No containers of services that are gone, or started by hand, are in the stack."""
    own = {one["Id"] for one in [*facts.containers, *facts.run_containers]}
    found = list(
        extra(facts.containers, set(facts.all_services), set(facts.stack.config["services"]))
    )
    # What is in a network, and of which the labels say nothing.
    for network in facts.networks:
        if not network["Name"].startswith(f"{facts.stack.project}_"):
            continue
        if (network["Labels"] or {}).get("com.docker.compose.project") != facts.stack.project:
            continue
        for id_, one in (network.get("Containers") or {}).items():
            if id_ not in own:
                found.append(
                    warning(
                        f"container {one['Name']} is in network {network['Name']}, and is not of"
                        " the stack",
                        f"docker network disconnect {network['Name']} {one['Name']}",
                    )
                )
    yield from found or [ok("none")]


def extra(containers: list[dict[str, Any]], known: set[str], active: set[str]) -> Iterator[Finding]:
    """Containers of the project that the compose file does not ask for."""
    for one in containers:
        labels, name = one["Config"]["Labels"], one["Name"].removeprefix("/")
        service = labels.get(SERVICE, "")
        if labels.get(_LAUNCHER):
            continue
        if labels.get(ONE_OFF) == "True":
            yield warning(
                f"container {name} was made by docker compose run of {service}",
                f"docker rm --force {name}, when it is not needed",
            )
        elif service not in known:
            yield warning(
                f"container {name} is of service {service}, which docker-compose.yml does not have",
                f"docker rm --force {name}",
            )
        elif service not in active and one["State"]["Running"]:
            yield warning(
                f"{service} runs, and its profile is not in COMPOSE_PROFILES: make up does not"
                " update it",
                f"docker compose rm --stop {service}, or add the profile in .env",
            )


@check("images", GROUP)
def images(facts: Facts) -> Iterator[Finding]:
    """Images that a start, a rollback, or a queued run needs are there."""
    facts.info  # noqa: B018
    named = {
        name: str(service["image"])
        for name, service in facts.stack.config["services"].items()
        if str(service["image"]).endswith(_OWN_IMAGE)
    }
    there = {tag for one in inspect("image", *set(named.values())) for tag in one["RepoTags"] or ()}
    found = [
        error(f"{image} of {', '.join(users)} is not on the engine", "make up builds it")
        for image in sorted(set(named.values()) - there)
        if (users := [name for name, wanted in named.items() if wanted == image])
    ]
    try:
        facts.running("webserver")
    except NotApplicableError:
        yield from found or [ok("those of the services; the webserver knows those of releases")]
        return
    for location in facts.stack.locations:
        found += _of_location(facts, location)
    runs = [run for run in facts.ask("runs") if run["image"]]
    has = {
        name
        for one in inspect("image", *{run["image"] for run in runs})
        for name in [one["Id"], *(one["RepoTags"] or ()), *(one["RepoDigests"] or ())]
    }
    found += without_image(runs, has)
    yield from found or [ok("those of services, releases, and runs that have not ended")]


def _of_location(facts: Facts, location: str) -> Iterator[Finding]:
    service = Service(facts.stack, location)
    records = read(facts.control, location)
    there = {one.release for one in releases(service, records, service.serving())}
    revisions = {one.release: one.revision for one in records}
    yield from missing_releases(location, way_back(records)[: to_keep(service)], there, revisions)


def without_image(runs: Sequence[Mapping[str, Any]], has: set[str]) -> Iterator[Finding]:
    """Runs that have not ended, and of which the image is gone."""
    for run in runs:
        if run["image"] not in has:
            yield error(
                f"run {run['id']} of {run['location']} ({run['status']}) needs the image"
                f" {run['image']}, which is gone",
                "terminate it in the UI, and launch it again: it then uses the live image",
            )


def missing_releases(
    location: str, way: list[str], there: set[str], revisions: Mapping[str, str]
) -> Iterator[Finding]:
    """Releases to which a rollback would go, and of which the image is gone."""
    for release in way:
        if release not in there:
            revision = revisions.get(release, "unknown")
            yield warning(
                f"{location} cannot be rolled back to {release} (commit {revision}): its image is"
                " gone",
                f"git checkout {revision}, make deploy LOCATION={location}, to have it again",
            )
