"""A code location in docker-compose.yml: its service, secrets, role, network and volumes."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml.nodes import ScalarNode

from stackctl.docker import COMPOSE_FILE
from stackctl.errors import StackctlError
from stackctl.location.yaml_text import YamlText

_SERVICE = Path(__file__).resolve().parents[3] / "template.service.yml"
# A setting's value, and two numbers that this file counts up: subnets of 32 addresses.
_SUBNET = r"\$\{RPC_SUBNETS:-[0-9.]+\}\.(\d+)\.(\d+)/27"
_ADDRESSES = 32
_STORE_KEYS = ",object_store_access_key,object_store_secret_key"
# What the service has with the loader, in the place of what it has without.
_LOADER = {
    "    <<: *code-location-environment\n": (
        "    <<: [*code-location-environment, *landing-zone-environment]\n"
        "    LANDING_ZONE: ${__NAME___LANDING_ZONE:-s3://landing/__name__}\n"
    ),
    "      - {action: rebuild, path: packages/location_kit/src}\n": (
        "      - {action: rebuild, path: packages/location_kit/src}\n"
        "      - {action: rebuild, path: packages/postgres_loader/src}\n"
    ),
    "[core, rpc___name__]": "[core, rpc___name__, objects]",
}
_COMMAND = ("services", "secrets", "command")
_MOUNTS = ("services", "secrets", "volumes")
_BACKED_UP = ("services", "backup", "volumes")
_MIGRATE = ("services", "migrate", "command")
_MIGRATE_SHARE = "--share=/secrets/migrate:"
_LOCATIONS = "--locations="


def add(text: str, name: str, *, loader: bool = False) -> str:
    """The file with the location ``name``, which is not in it yet, after the last one.

    With the ``loader``, it has a landing zone in the object store.
    """
    file = YamlText(text, COMPOSE_FILE)
    passwords, prepared = _lists(file)
    file.change(passwords, f"{passwords.value},{name}_password")
    file.change(prepared, f"{prepared.value},{name}")
    share = f"--share=/secrets/{name}:10001={name}_password{_STORE_KEYS if loader else ''}"
    for place, prefix, new in (
        (_COMMAND, "--share=", share),
        (_MOUNTS, "secrets_", f"secrets_{name}:/secrets/{name}"),
        (_BACKED_UP, "storage_", f"storage_{name}:/data/storage_{name}:ro"),
    ):
        last = file.item(*place, prefix=prefix)
        file.add_after(last, last, f"- {new}\n")
    others = prepared.value.removeprefix(_LOCATIONS).split(",")
    services = file.entries("services")
    _add_key(file, "services", [key for key in services if key in others], _service(name, loader))
    networks = [key for key in file.entries("networks") if key.startswith("rpc_")]
    _add_key(file, "networks", networks, _network(text, name))
    for kind in ("storage", "secrets"):
        volumes = [key for key in file.entries("volumes") if key.startswith(f"{kind}_")]
        _add_key(file, "volumes", volumes, f"{kind}_{name}:\n")
    return file.edited


def remove(text: str, name: str) -> str:
    """The file without the location ``name``: the inverse of ``add``."""
    file = YamlText(text, COMPOSE_FILE)
    for node, word in zip(_lists(file), (f"{name}_password", name), strict=True):
        key, _, listed = node.value.partition("=")
        left = [each for each in listed.split(",") if each != word]
        file.change(node, f"{key}={','.join(left)}")
    for place, prefix in (
        (_COMMAND, f"--share=/secrets/{name}:"),
        (_MOUNTS, f"secrets_{name}:/"),
        (_BACKED_UP, f"storage_{name}:/"),
    ):
        item = file.item(*place, prefix=prefix)
        file.remove(item, item)
    for section, keys in {
        "services": [name],
        "networks": [f"rpc_{name}"],
        "volumes": [f"storage_{name}", f"secrets_{name}"],
    }.items():
        for key in keys:
            file.remove(*file.entry(section, key), blank=section == "services")
    return file.edited


def locations(text: str) -> list[str]:
    """The code locations that the file prepares the database for, in its order."""
    listed: str = _lists(YamlText(text, COMPOSE_FILE))[1].value
    return listed.removeprefix(_LOCATIONS).split(",")


def _lists(file: YamlText) -> tuple[ScalarNode, ScalarNode]:
    """The two texts that list what belongs to all locations: their passwords, and their names."""
    share = file.item(*_COMMAND, prefix=_MIGRATE_SHARE)
    return share, file.item(*_MIGRATE, prefix=_LOCATIONS)


def _add_key(file: YamlText, section: str, like: list[str], new: str) -> None:
    """Put a key behind the last of those that are ``like`` it."""
    if not like:
        raise StackctlError(f"{COMPOSE_FILE}: {section} has no code location to put another behind")
    file.add_after(*file.entry(section, like[-1]), new)


def _service(name: str, loader: bool) -> str:
    text = _SERVICE.read_text()
    for line, instead in (_LOADER if loader else {}).items():
        text = text.replace(line, instead)
    return "\n" + text.replace("__NAME__", name.upper()).replace("__name__", name)


def _network(text: str, name: str) -> str:
    """The network in which the location's server answers, in the first subnet that is free."""
    taken = {(int(high), int(low)) for high, low in re.findall(_SUBNET, text)}
    # The rest of the range is for the network `outside`, and for tests.
    every = ((high, low) for high in range(224) for low in range(0, 256, _ADDRESSES))
    free = next((each for each in every if each not in taken), None)
    if free is None:
        raise StackctlError(
            f"{COMPOSE_FILE}: all subnets of RPC_SUBNETS are given to code locations. Fix: remove"
            " networks rpc_<location> that no location has"
        )
    subnet = f"${{RPC_SUBNETS:-198.18}}.{free[0]}.{free[1]}"
    return (
        f"rpc_{name}:\n"
        "  <<: *rpc-network\n"
        f"  name: ${{COMPOSE_PROJECT_NAME}}_rpc_{name}\n"
        f'  ipam: {{config: [{{subnet: "{subnet}/27", ip_range: "{subnet}/28"}}]}}\n'
    )
