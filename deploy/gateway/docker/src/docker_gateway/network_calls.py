"""Calls on networks: who may join which."""

from __future__ import annotations

import re

from docker_gateway import labels
from docker_gateway.call import Call, Outcome
from docker_gateway.engine import VERSION, EngineCall
from docker_gateway.refusal import Refusal
from docker_gateway.stack import Stack


async def join_run(stack: Stack, call: Call) -> Outcome:
    """Let a run join a further network of its service; never one of code servers."""
    container = _container(call)
    found = await stack.run(container)
    location = found["Config"]["Labels"].get(labels.LOCATION, "")
    async for template in stack.likely_templates(location):
        if call.name in template.networks:
            return _connect(call.name, container)
    raise Refusal(f"network {call.name} is not one of the service's networks for runs")


async def join_control_plane(stack: Stack, call: Call) -> Outcome:
    """Let a service of the control plane join a network of code servers."""
    container = _container(call)
    network = await stack.rpc_network(call.name)
    if not await stack.is_control_plane(await stack.container(container)):
        raise Refusal(f"container {container} is not of this stack's control plane")
    return _connect(network, container)


def _container(call: Call) -> str:
    container = call.body.get("Container")
    for name, asked in call.body.items():
        # A name of its own in the network could be the database's.
        if name != "Container" and (name != "EndpointConfig" or asked not in (None, {})):
            raise Refusal(f"{name} is not to be chosen")
    if not isinstance(container, str) or not re.fullmatch(labels.ID, container):
        raise Refusal("it names no container by its whole id")
    return container


def _connect(network: str, container: str) -> EngineCall:
    path = f"{VERSION}/networks/{network}/connect"
    return EngineCall("POST", path, {}, {"Container": container})
