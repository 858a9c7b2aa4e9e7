"""Checks of names, proxies, subnets."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stackctl.docker import DockerError
from stackctl.doctor.facts import Facts
from stackctl.doctor.finding import (
    BOTH,
    Finding,
    NotApplicableError,
    check,
    error,
    ok,
    warning,
)
from stackctl.doctor.machine import refused
from stackctl.mode import DOCKER

GROUP = "Network"
Subnet = ipaddress.IPv4Network
# What the engine has by default: 31 networks.
_POOLS = tuple(map(ipaddress.IPv4Network, ("172.16.0.0/12", "192.168.0.0/16")))
_POOLS_NETWORKS = 31
_FEW = 3
_LOOK_UP = "import socket, sys; socket.getaddrinfo(sys.argv[1], None)"
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
_ADDRESSES = ("USERS_API_URL", "LANDING_ZONE_ENDPOINT", "SSO_ISSUER", "UV_DEFAULT_INDEX")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY")


@check("names inside", GROUP)
def names_inside(facts: Facts) -> Iterator[Finding]:
    """Containers find the services that they need by name."""
    for service, wanted in (("webserver", "postgres"), ("daemon", "postgres")):
        try:
            facts.inside(service, "python", "-c", _LOOK_UP, wanted)
        except DockerError as problem:
            yield error(
                f"{service} cannot resolve {wanted}: {problem.reason}",
                "docker compose up --detach --force-recreate " + service,
            )
        else:
            yield ok(f"{service} resolves {wanted}")


@check("names outside", GROUP, BOTH)
def names_outside(facts: Facts) -> Iterator[Finding]:
    """Names of services outside resolve on this machine, and where runs need them."""
    hosts = outside_hosts(facts.env)
    if not hosts:
        raise NotApplicableError("no setting names a host outside")
    if any(facts.env.get(name) for name in _PROXIES):
        raise NotApplicableError("a proxy resolves names outside")
    service = _service_outside(facts) if facts.mode == DOCKER else None
    for setting, host in hosts.items():
        here = _resolves(host)
        if not here:
            yield warning(
                f"this machine cannot resolve {host} ({setting})",
                f"correct {setting} in .env, or this machine's name servers",
            )
        elif service:
            try:
                facts.inside(service, "python", "-c", _LOOK_UP, host)
            except DockerError as problem:
                yield error(
                    f"{service} cannot resolve {host} ({setting}), this machine can:"
                    f" {problem.reason}",
                    'name servers for containers: {"dns": [...]} in the engine\'s daemon.json',
                )
                continue
            yield ok(f"{host} resolves here and in {service}")
        else:
            yield ok(f"{host} resolves here")


def outside_hosts(env: dict[str, str]) -> dict[str, str]:
    """Hosts of URLs in settings, by setting; addresses and the stack's own names left out."""
    found = {}
    for setting in _ADDRESSES:
        host = urlsplit(env.get(setting, "")).hostname or ""
        if "." in host and not host.replace(".", "").isdigit() and not host.endswith(".internal"):
            found[setting] = host
    return found


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _service_outside(facts: Facts) -> str | None:
    """A code location that is in the network `outside` and runs."""
    try:
        locations = facts.stack.locations
        for name in locations:
            if "outside" in (facts.stack.config["services"][name].get("networks") or {}):
                facts.running(name)
                return name
    except NotApplicableError:
        pass
    return None


@check("proxy", GROUP, BOTH)
def proxy(facts: Facts) -> Iterator[Finding]:
    """A proxy that is set is reached from here and from containers."""
    set_ = {name: facts.env[name] for name in _PROXIES if facts.env.get(name)}
    if not set_:
        raise NotApplicableError("no proxy is set")
    service = _service_outside(facts) if facts.mode == DOCKER else None
    for name, value in set_.items():
        place = urlsplit(value if "//" in value else f"//{value}")
        shown = f"{name} ({place.hostname}:{place.port or 80})"
        if "//" not in value:
            yield warning(f"{shown} has no scheme", f"{name}=http://... in .env")
        if facts.mode == DOCKER and place.hostname in {"localhost", "127.0.0.1", "::1"}:
            yield error(
                f"{shown} is on loopback, which in a container is the container itself",
                f"{name} with an address of this machine that containers reach, in .env",
            )
            continue
        if not _connects(str(place.hostname), place.port or 80):
            yield error(f"{shown} cannot be reached from this machine", f"correct {name} in .env")
            continue
        if service:
            port = str(place.port or 80)
            try:
                facts.inside(service, "python", "-c", _CONNECT, str(place.hostname), port)
            except DockerError as problem:
                yield error(
                    f"{shown} is reached from here, but not from {service}: {problem.reason}",
                    "open the proxy for the engine's networks (docs/company-network.md)",
                )
                continue
        yield ok(f"{shown} is reached")
    if facts.mode == DOCKER and not (facts.info.get("HttpsProxy") or facts.info.get("HttpProxy")):
        yield warning(
            "the engine itself uses no proxy, and pulls images",
            "docs/company-network.md says how the engine gets it; not needed where a mirror is"
            " reached without",
        )


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


@check("subnets", GROUP)
def subnets(facts: Facts) -> Iterator[Finding]:
    """The stack's subnets overlap no route of this machine, and no other network's."""
    facts.info  # noqa: B018
    yield from refused(facts, "check_outside")
    own = {
        network["Name"]: subnet
        for network in facts.networks
        if (network["Labels"] or {}).get("com.docker.compose.project") == facts.stack.project
        for subnet in _subnets(network)
    }
    wanted = {
        f"{facts.stack.project}_{name}": Subnet(pool["subnet"])
        for name, network in facts.stack.config["networks"].items()
        for pool in (network.get("ipam") or {}).get("config") or []
        if "subnet" in pool
    }
    file = Path("/proc/net/route")
    routes = read_routes(file.read_text()) if file.exists() and facts.is_local else []
    bridges = {subnet for network in facts.networks for subnet in _subnets(network)}
    others = {
        network["Name"]: subnet
        for network in facts.networks
        for subnet in _subnets(network)
        if network["Name"] not in own and network["Name"] not in wanted
    }
    found = list(overlaps(wanted | own, [one for one in routes if one not in bridges], others))
    yield from found or [ok(f"{len(wanted | own)} subnets overlap nothing")]


def overlaps(
    own: dict[str, Subnet], routes: Iterable[Subnet], others: dict[str, Subnet]
) -> Iterator[Finding]:
    """An error for each subnet that something else on this machine has, too."""
    fix = (
        "RPC_SUBNETS in .env, or default-address-pools in the engine's daemon.json; then make"
        " down, make up"
    )
    routes = list(routes)
    for name, subnet in own.items():
        for route in routes:
            if subnet.overlaps(route):
                yield error(
                    f"network {name} has {subnet}, and this machine a route to {route}", fix
                )
        for other, theirs in others.items():
            if subnet.overlaps(theirs):
                yield error(f"network {name} has {subnet}, and network {other} {theirs}", fix)


def read_routes(table: str) -> list[Subnet]:
    """Destinations of /proc/net/route, without the default route."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        address, mask = (struct.pack("<L", int(words[place], 16)) for place in (1, 7))
        bits = bin(int.from_bytes(mask)).count("1")
        if bits:
            found.append(Subnet((int.from_bytes(address), bits)))
    return found


@check("address pools", GROUP)
def address_pools(facts: Facts) -> Iterator[Finding]:
    """The engine has addresses left for another network."""
    if facts.info.get("DefaultAddressPools"):
        raise NotApplicableError("the engine has address pools of its own (daemon.json)")
    yield pools_left(
        sum(
            any(subnet.subnet_of(pool) for pool in _POOLS)
            for network in facts.networks
            for subnet in _subnets(network)[:1]
        )
    )


def pools_left(used: int) -> Finding:
    """Whether the engine's default pools have room."""
    evidence = f"{used} of {_POOLS_NETWORKS} default address pools are used"
    if used > _POOLS_NETWORKS - _FEW:
        return warning(
            evidence + "; a network that is missing cannot be made",
            "docker network prune, or default-address-pools in the engine's daemon.json",
        )
    return ok(evidence)


def _subnets(network: dict[str, Any]) -> list[Subnet]:
    pools = (network.get("IPAM") or {}).get("Config") or []
    found = [str(pool.get("Subnet", "")) for pool in pools]
    return [Subnet(one) for one in found if one and ":" not in one]
