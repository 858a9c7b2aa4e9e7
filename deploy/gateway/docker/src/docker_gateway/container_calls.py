"""Calls on containers: which are sent, and what is sent.

Each function returns what to do instead of the call that was asked for, or raises Refusal.
"""

from __future__ import annotations

import re

from docker_gateway import copies, filters, labels, limits
from docker_gateway.call import Answer, Call, Outcome
from docker_gateway.engine import VERSION, EngineCall
from docker_gateway.images import ID, Reference, repository_of
from docker_gateway.refusal import Refusal
from docker_gateway.stack import Stack
from docker_gateway.template import Template, is_location, is_run


async def events(stack: Stack, call: Call) -> Outcome:
    """Follow events of runs, or of code locations."""
    return _stream(call, filters.events(call.query.get("filters", ""), stack.project))


async def service_events(stack: Stack, call: Call) -> Outcome:
    """Follow events of all services."""
    text = filters.events(call.query.get("filters", ""), stack.project, services=True)
    return _stream(call, text)


async def listing(stack: Stack, call: Call) -> Outcome:
    """List runs, or code locations."""
    return _list(call, filters.containers(call.query.get("filters", ""), stack.project))


async def service_listing(stack: Stack, call: Call) -> Outcome:
    """List all services."""
    text = filters.containers(call.query.get("filters", ""), stack.project, services=True)
    return _list(call, text)


async def inspect(stack: Stack, call: Call) -> Outcome:
    """Inspect a run's container, or a code location's."""
    # By its whole id, or by a run's name: a shorter id could become another container's.
    if not re.fullmatch(labels.ID, call.name) and not stack.names.run.fullmatch(call.name):
        raise Refusal("a container is named by its whole id, or by a run's name")
    found = await stack.container(call.name)
    if found["Id"] != call.name and not is_run(found, stack.project):
        raise Refusal(f"container {call.name} is not a run of this stack")
    if is_location(found, stack.project):
        await stack.remember(found)
    elif not is_run(found, stack.project):
        raise Refusal(f"container {call.name} is not a run or code location of this stack")
    return Answer(found)


async def logs(stack: Stack, call: Call) -> Outcome:
    """Read a run's log."""
    await stack.run(call.name)
    query = {name: "1" for name in ("stdout", "stderr", "timestamps") if call.flag(name)}
    if call.flag("follow"):
        raise Refusal("a log is not followed here")
    if call.query.get("tail", "all") != "all":
        query["tail"] = call.number("tail")
    return EngineCall("GET", _container(call, "logs"), query)


async def create(stack: Stack, call: Call) -> Outcome:
    """Create a copy of a code location's service."""
    name, body = call.query.get("name", ""), call.body
    if not isinstance(body.get("HostConfig"), dict) or not isinstance(body.get("Image"), str):
        raise Refusal("Image and HostConfig are missing")
    own = copies.own_labels(body.get("Labels"), stack.project, name, stack.names)
    location = own[labels.LOCATION]
    templates = await stack.templates(location)
    if not templates:
        # Between two containers of a service there is none: the launcher tries again.
        raise Refusal(f"there is no code location '{location}' to copy", 503)
    if labels.SERVICE in own and own[labels.SERVICE] not in {each.id for each in templates}:
        raise Refusal(f"its label names no container of '{location}'")
    await _check_image(stack, body["Image"], location, templates)
    reasons = []
    for template in templates:
        try:
            made = copies.rebuilt(body, own, template)
            return EngineCall("POST", f"{VERSION}/containers/create", {"name": name}, made)
        except Refusal as refusal:
            reasons.append(refusal.reason)
    raise Refusal(f"it is not a copy of '{location}': {reasons[0]}")


async def _check_image(stack: Stack, image: str, location: str, templates: list[Template]) -> None:
    if any(image in {each.image_name, each.release} for each in templates):
        return
    repositories = {each.image_repository for each in templates} - {""}
    if ID.fullmatch(image) or Reference.parse(image):
        found = await stack.image(image) or {}
        names = [*(found.get("RepoTags") or []), *(found.get("RepoDigests") or [])]
        if any(repository_of(name) in repositories for name in names):
            return
    raise Refusal(f"image {image[:200]} is not a release of '{location}'")


async def start(stack: Stack, call: Call) -> Outcome:
    """Start a run."""
    await stack.run(call.name)
    return EngineCall("POST", _container(call, "start"))


async def stop(stack: Stack, call: Call) -> Outcome:
    """Stop a run, after its grace or after a time in seconds."""
    await stack.run(call.name)
    query = {"t": call.number("t")} if "t" in call.query else {}
    return EngineCall("POST", _container(call, "stop"), query)


async def wake(stack: Stack, call: Call) -> Outcome:
    """Send a standby worker its one signal."""
    if call.query.get("signal") != "SIGUSR1":
        raise Refusal("the one signal is SIGUSR1")
    await stack.run(call.name)
    return EngineCall("POST", _container(call, "kill"), {"signal": "SIGUSR1"})


async def rename(stack: Stack, call: Call) -> Outcome:
    """Give a standby worker the name of the run that it gets."""
    name = call.query.get("name", "")
    if not stack.names.run.fullmatch(name):
        raise Refusal("its new name is not a run's")
    found = await stack.run(call.name)
    if not found["Config"]["Labels"].get(labels.TICKET):
        raise Refusal(f"container {call.name} is not a standby worker, and has its run's name")
    return EngineCall("POST", _container(call, "rename"), {"name": name})


async def update(stack: Stack, call: Call) -> Outcome:
    """Change a run's limits."""
    found = await stack.run(call.name)
    location = found["Config"]["Labels"].get(labels.LOCATION, "")
    reasons = []
    async for template in stack.likely_templates(location):
        try:
            changed = limits.updated(call.body, template)
            return EngineCall("POST", _container(call, "update"), {}, changed)
        except Refusal as refusal:
            reasons.append(refusal.reason)
    if not reasons:
        raise Refusal(f"there is no code location '{location}' that says what is allowed", 503)
    raise Refusal(reasons[-1])


async def remove(stack: Stack, call: Call) -> Outcome:
    """Remove a run's container."""
    await stack.run(call.name)
    if call.flag("link"):
        raise Refusal("parameter link is not in use here")
    query = {name: "1" for name in ("v", "force") if call.flag(name)}
    return EngineCall("DELETE", f"{VERSION}/containers/{call.name}", query)


def _container(call: Call, action: str) -> str:
    return f"{VERSION}/containers/{call.name}/{action}"


def _stream(call: Call, filters: str) -> EngineCall:
    times = {name: call.number(name) for name in ("since", "until") if name in call.query}
    return EngineCall("GET", f"{VERSION}/events", times | {"filters": filters})


def _list(call: Call, filters: str) -> EngineCall:
    every = {"all": "1"} if call.flag("all") else {}
    return EngineCall("GET", f"{VERSION}/containers/json", every | {"filters": filters})
