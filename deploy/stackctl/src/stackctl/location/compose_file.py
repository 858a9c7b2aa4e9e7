"""A code location in docker-compose.yml: its service, secrets, role, network and volumes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from stackctl.docker import COMPOSE_FILE
from stackctl.errors import StackctlError
from stackctl.location.lines import Lines

_SERVICE = Path(__file__).resolve().parents[3] / "template.service.yml"
# A setting's value, and two numbers that this file counts up: subnets of 32 addresses.
_SUBNET = r"\$\{RPC_SUBNETS:-[0-9.]+\}\.(\d+)\.(\d+)/27"
_ADDRESSES = 32
_STORE_KEYS = ",object_store_access_key,object_store_secret_key"
# What the service has with the loader, in the place of what it has without.
_LOADER = {
    "      <<: *code-location-environment\n": (
        "      <<: [*code-location-environment, *landing-zone-environment]\n"
        "      LANDING_ZONE: ${__NAME___LANDING_ZONE:-s3://landing/__name__}\n"
    ),
    "        - {action: rebuild, path: packages/location_kit/src}\n": (
        "        - {action: rebuild, path: packages/location_kit/src}\n"
        "        - {action: rebuild, path: packages/postgres_loader/src}\n"
    ),
    "[core, rpc___name__]": "[core, rpc___name__, objects]",
}
_OF_LOCATION = r"\s+<<: \*code-location$"


def add(text: str, name: str, *, loader: bool = False) -> str:
    """The file with the location ``name``, which is not in it yet, after the last one.

    With the ``loader``, it has a landing zone in the object store.
    """
    lines = Lines(text, COMPOSE_FILE)
    share = f"- --share=/secrets/{name}:10001={name}_password{_STORE_KEYS if loader else ''}"
    _change(lines, "secrets", "- --share=/secrets/migrate:", _append(f"{name}_password"))
    _behind(lines, "secrets", "- --share=", share)
    _behind(lines, "secrets", "- secrets_", f"- secrets_{name}:/secrets/{name}")
    _change(lines, "migrate", r".*--locations=", _append(name, r"--locations=[a-z0-9_,]*"))
    lines.insert_after(_last_location(lines), "\n" + _service(name, loader))
    _add_network(lines, name)
    volumes = lines.block("volumes")
    for kind in ("storage", "secrets"):
        number = lines.last(rf"\s+{kind}_", lines.block("volumes"), f"{kind} volumes")
        lines.insert_after(number, f"{lines.indent(volumes.start + 1)}{kind}_{name}:\n")
    return lines.text


def remove(text: str, name: str) -> str:
    """The file without the location ``name``: the inverse of ``add``."""
    lines = Lines(text, COMPOSE_FILE)
    _change(lines, "secrets", "- --share=/secrets/migrate:", _without(f"{name}_password"))
    _delete(lines, "secrets", rf"- --share=/secrets/{name}:")
    _delete(lines, "secrets", rf"- secrets_{name}:/")
    _change(lines, "migrate", r".*--locations=", _without(name))
    service = lines.block(name, lines.block("services"))
    if lines.is_blank(service.start - 1):
        service = range(service.start - 1, service.stop)
    elif lines.is_blank(service.stop):
        service = range(service.start, service.stop + 1)
    lines.delete(service)
    lines.delete(lines.block(f"rpc_{name}", lines.block("networks")))
    for kind in ("storage", "secrets"):
        lines.delete(lines.block(f"{kind}_{name}", lines.block("volumes")))
    return lines.text


def _service(name: str, loader: bool) -> str:
    text = _SERVICE.read_text()
    for line, instead in (_LOADER if loader else {}).items():
        text = text.replace(line, instead)
    return text.replace("__NAME__", name.upper()).replace("__name__", name)


def _add_network(lines: Lines, name: str) -> None:
    """The network in which the location's server answers, in the first subnet that is free."""
    networks = lines.block("networks")
    last = lines.last(r"  rpc_\w+:$", networks, "a network rpc_<location>")
    key = lines.get(range(last, last + 1)).strip().removesuffix(":")
    taken = {(int(high), int(low)) for high, low in re.findall(_SUBNET, lines.text)}
    # The rest of the range is for the network `outside`, and for tests.
    every = ((high, low) for high in range(224) for low in range(0, 256, _ADDRESSES))
    free = next((each for each in every if each not in taken), None)
    if free is None:
        raise StackctlError(
            f"{COMPOSE_FILE}: all subnets of RPC_SUBNETS are given to code locations. Fix: remove"
            " networks rpc_<location> that no location has"
        )
    subnet = f"${{RPC_SUBNETS:-198.18}}.{free[0]}.{free[1]}"
    lines.insert_after(
        lines.block(key, networks).stop - 1,
        f"  rpc_{name}:\n"
        "    <<: *rpc-network\n"
        f"    name: ${{COMPOSE_PROJECT_NAME}}_rpc_{name}\n"
        f'    ipam: {{config: [{{subnet: "{subnet}/27", ip_range: "{subnet}/28"}}]}}\n',
    )


def _last_location(lines: Lines) -> int:
    """The last line of the last code location's service."""
    services = lines.block("services")
    mark = lines.last(_OF_LOCATION, services, "a service that is a code location")
    key = lines.last(r"  [a-z0-9_-]+:$", range(services.start, mark), "a service")
    service = lines.get(range(key, key + 1)).strip().removesuffix(":")
    return lines.block(service, services).stop - 1


def _in(lines: Lines, service: str, pattern: str) -> int:
    block = lines.block(service, lines.block("services"))
    return lines.last(rf"\s+{pattern}", block, f"{pattern} of service {service}")


def _change(lines: Lines, service: str, pattern: str, change: Callable[[str], str]) -> None:
    lines.change(_in(lines, service, pattern), change)


def _behind(lines: Lines, service: str, pattern: str, new: str) -> None:
    number = _in(lines, service, pattern)
    lines.insert_after(number, f"{lines.indent(number)}{new}\n")


def _delete(lines: Lines, service: str, pattern: str) -> None:
    number = _in(lines, service, pattern)
    lines.delete(range(number, number + 1))


def _append(word: str, list_: str = r".*[a-z0-9_]") -> Callable[[str], str]:
    """Adds a word to the list by commas that the pattern ends with."""
    return lambda line: re.sub(list_, lambda found: f"{found[0]},{word}", line, count=1)


def _without(word: str) -> Callable[[str], str]:
    """Takes a word out of a list by commas."""
    alone = rf"(?<![a-z0-9_]){word}(?![a-z0-9_])"
    return lambda line: re.sub(rf",{alone}|{alone},", "", line, count=1)


def locations(text: str) -> list[str]:
    """The code locations that the file prepares the database for, in its order."""
    lines = Lines(text, COMPOSE_FILE)
    number = _in(lines, "migrate", r".*--locations=")
    found = re.search(r"--locations=([a-z0-9_,]+)", lines.get(range(number, number + 1)))
    return found[1].split(",") if found else []
