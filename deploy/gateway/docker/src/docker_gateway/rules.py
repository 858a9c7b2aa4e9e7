"""Which calls there are, and who may make them; the daemon, where none is named.

Everything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from docker_gateway import container_calls as containers
from docker_gateway import image_calls as images
from docker_gateway import labels
from docker_gateway import network_calls as networks
from docker_gateway.asked import Asked
from docker_gateway.call import Call, Outcome
from docker_gateway.engine import VERSION, EngineCall
from docker_gateway.refusal import Refusal
from docker_gateway.stack import Stack
from docker_gateway.strict_json import parse_object
from docker_gateway.usage import usage

DAEMON = "daemon"
WEBSERVER = "webserver"
# The service that joins the control plane to networks of code servers.
RPC_NETWORKS = "rpc_networks"
# The metrics exporter, which reads numbers and does nothing.
EXPORTER = "exporter"
CALLERS = (DAEMON, WEBSERVER, RPC_NETWORKS, EXPORTER)

Decide = Callable[[Stack, Call], Awaitable[Outcome]]


@dataclass(frozen=True)
class Rule:
    """One kind of call."""

    method: str
    path: re.Pattern[str]
    parameters: frozenset[str]
    decide: Decide
    has_body: bool
    callers: frozenset[str]


async def decide(stack: Stack, caller: str, asked: Asked) -> Outcome:
    """What to do for ``caller``; Refusal when it is nothing that launching runs needs."""
    rule, name = _find(asked, caller)
    for key in asked.query:
        if key not in rule.parameters:
            raise Refusal(f"parameter {key} is not in use here")
    if asked.body and not rule.has_body:
        raise Refusal("this call has no body")
    body = parse_object(asked.body) if rule.has_body else {}
    return await rule.decide(stack, Call(name, dict(asked.query), body))


def _find(asked: Asked, caller: str) -> tuple[Rule, str]:
    matches = [
        (rule, match)
        for rule in _RULES
        if rule.method == asked.method and (match := rule.path.fullmatch(asked.path))
    ]
    if not matches:
        raise Refusal("this call is not one that launching runs needs")
    for rule, match in matches:
        if caller in rule.callers:
            return rule, match.groupdict().get("name") or ""
    raise Refusal(f"the {caller} may not make this call")


async def _ping(stack: Stack, call: Call) -> Outcome:
    return EngineCall("GET", "/_ping")


async def _ping_head(stack: Stack, call: Call) -> Outcome:
    return EngineCall("HEAD", "/_ping")


async def _version(stack: Stack, call: Call) -> Outcome:
    return EngineCall("GET", "/version")


def _rule(
    method: str,
    path: str,
    parameters: str,
    decide: Decide,
    *callers: str,
    body: bool = False,
    versioned: bool = True,
) -> Rule:
    version = f"(?:{re.escape(VERSION)})" + ("" if versioned else "?")
    return Rule(
        method,
        re.compile(version + path),
        frozenset(parameters.split()),
        decide,
        body,
        frozenset(callers or {DAEMON}),
    )


_BY_NAME = f"/containers/(?P<name>{labels.LOCATION_NAME})"
_BY_ID = f"/containers/(?P<name>{labels.ID})"
_IMAGE = "/images/(?P<name>[A-Za-z0-9][A-Za-z0-9_./:@-]*)"
_NETWORK = "/networks/(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)"
_EVENTS = "since until filters"
_LIST = "all limit size trunc_cmd filters"
_RULES = [
    _rule("GET", "/_ping", "", _ping, *CALLERS, versioned=False),
    _rule("HEAD", "/_ping", "", _ping_head, *CALLERS, versioned=False),
    _rule("GET", "/version", "", _version, *CALLERS, versioned=False),
    _rule("GET", "/events", _EVENTS, containers.events),
    _rule("GET", "/containers/json", _LIST, containers.listing),
    _rule("GET", f"{_BY_NAME}/json", "", containers.inspect, DAEMON, WEBSERVER),
    _rule("GET", f"{_BY_ID}/logs", "stdout stderr timestamps follow tail", containers.logs),
    _rule("GET", f"{_IMAGE}/json", "", images.inspect),
    _rule("POST", f"{_IMAGE}/tag", "repo tag force", images.tag),
    _rule("POST", "/images/create", "fromImage tag", images.pull),
    _rule("POST", "/containers/create", "name", containers.create, body=True),
    _rule("POST", f"{_BY_ID}/start", "", containers.start),
    _rule("POST", f"{_BY_ID}/stop", "t", containers.stop, DAEMON, WEBSERVER),
    _rule("POST", f"{_BY_ID}/kill", "signal", containers.wake),
    _rule("POST", f"{_BY_ID}/rename", "name", containers.rename),
    _rule("POST", f"{_BY_ID}/update", "", containers.update, body=True),
    _rule("DELETE", _BY_ID, "v force link", containers.remove),
    _rule("POST", f"{_NETWORK}/connect", "", networks.join_run, body=True),
    # The gateway's own; the engine has none of this name.
    _rule("GET", "/usage", "", usage, EXPORTER),
    _rule("GET", "/events", _EVENTS, containers.service_events, RPC_NETWORKS),
    _rule("GET", "/containers/json", _LIST, containers.service_listing, RPC_NETWORKS),
    _rule("POST", f"{_NETWORK}/connect", "", networks.join_control_plane, RPC_NETWORKS, body=True),
]
