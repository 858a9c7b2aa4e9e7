"""What has to be so before an upgrade is tried; looking changes nothing of what runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackctl.backups import SERVICE as BACKUP
from stackctl.backups import Backups
from stackctl.console import step
from stackctl.control_plane import ControlPlane
from stackctl.docker import ROOT, DockerError, docker, inspect
from stackctl.errors import REFUSED, StackctlError
from stackctl.stack import Stack
from stackctl.upgrade import images
from stackctl.upgrade.trial import load_errors
from stackctl.upgrade.versions import (
    LOCK,
    Versions,
    check_asked,
    check_direction,
    locked,
    postgres_version,
)

_GB = 1e9
# Images, and what the copy's containers write.
_ROOM_FOR_IMAGES = 2 * _GB
_DATA = "/var/lib/postgresql/data"
_OWN_VERSION = "from importlib.metadata import version; print(version('dagster'))"


@dataclass(frozen=True)
class Ready:
    """What an upgrade begins with."""

    backups: Backups
    versions: Versions
    locations: dict[str, tuple[str, bool]]
    """Of each, the version of Dagster in it, and whether it is loaded."""
    former: dict[str, str]
    """Ids of the images that are built here, by name: those that run."""
    new: dict[str, str]
    reconfigured: list[str]


def look(stack: Stack, to: str) -> Ready:
    """Look at stack and checkout, and build the new images. Raises StackctlError."""
    checkout = locked(ROOT / LOCK)
    check_asked(to, checkout)
    with step("Looking whether the stack is well"):
        control = ControlPlane(stack)
        found = images.containers(stack)
        own = images.own_services(stack)
        check_well({name: stack.config["services"][name] for name in own}, found)
        check_backups(found)
        backups = Backups.load()
        state = control.ask("state")
        errors = load_errors(state, stack.locations)
        before = {
            name: (_dagster_in(found[name]["Id"]), not errors[name])
            for name in stack.locations
            if name in found
        }
        versions = Versions(
            state["status"]["version"], checkout, _running_postgres(), _next_postgres(stack)
        )
        check_direction(versions)
        check_room(*_data_and_room())
    with step("Building the new control plane beside the one that runs"):
        former = images.live(stack)
        new = images.build(stack)
    versions = Versions(
        versions.dagster,
        versions.to_dagster,
        versions.postgres,
        versions.to_postgres,
        tuple(images.changed(former, new | _postgres_image(stack))),
    )
    former = {name: image for name, image in former.items() if name in new}
    return Ready(backups, versions, before, former, new, images.reconfigured(stack))


def check_well(services: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise StackctlError for services of the stack that do not run, or are not healthy."""
    problems = []
    for name, service in services.items():
        state = found[name]["State"] if name in found else {}
        health = (state.get("Health") or {}).get("Status", "healthy")
        if state.get("Status") == "running" and health == "healthy":
            continue
        has_ended_well = state.get("Status") == "exited" and state.get("ExitCode") == 0
        if images.is_one_shot(service) and has_ended_well:
            continue
        status = state.get("Status", "not there")
        problems.append(f"{name} is {status if status != 'running' else health}")
    if problems:
        raise StackctlError(
            f"the stack is not well: {', '.join(problems)}. Fix: make doctor says what mends it;"
            " then this command again",
            REFUSED,
        )


def check_backups(found: Mapping[str, Any]) -> None:
    """Raise StackctlError where the stack has no backup service."""
    if BACKUP not in found:
        raise StackctlError(
            "there is no backup service, and an upgrade begins with a backup. Fix: add backup to"
            " COMPOSE_PROFILES in .env, then make up (docs/backup.md)",
            REFUSED,
        )


def check_room(data: int, free: int) -> None:
    """Raise StackctlError unless a backup and a copy of ``data`` have room in ``free`` (bytes)."""
    wanted = 2 * data + _ROOM_FOR_IMAGES
    if free < wanted:
        raise StackctlError(
            f"the disk has {free / _GB:.1f} GB free, and backup and copy of {data / _GB:.1f} GB of"
            f" data may take {wanted / _GB:.1f} GB. Fix: make room; docker system df shows what is"
            " used",
            REFUSED,
        )


def _data_and_room() -> tuple[int, int]:
    """Bytes of Postgres' data, and bytes that are free where they are."""
    script = f"du -sk {_DATA}; df -Pk {_DATA} | tail -n 1"
    used, free = docker("compose", "exec", "-T", "postgres", "sh", "-c", script).splitlines()
    return int(used.split()[0]) * 1024, int(free.split()[3]) * 1024


def _dagster_in(container: str) -> str:
    try:
        return docker("exec", container, "python", "-c", _OWN_VERSION).strip()
    except DockerError:
        return "unknown"


def _running_postgres() -> str:
    return postgres_version(docker("compose", "exec", "-T", "postgres", "postgres", "--version"))


def _postgres_image(stack: Stack) -> dict[str, str]:
    """The id of the image that Compose would start, by its name; it is not built here."""
    name = str(stack.config["services"]["postgres"]["image"])
    return {name: str(inspect("image", name)[0]["Id"])}


def _next_postgres(stack: Stack) -> str:
    image = str(stack.config["services"]["postgres"]["image"])
    if not inspect("image", image):
        try:
            docker("image", "pull", "--quiet", image)
        except DockerError as error:
            raise StackctlError(
                f"POSTGRES_IMAGE {image} can be neither found nor pulled: {error.reason}. Fix:"
                " an image that is here, or a mirror, in .env"
            ) from None
    options = ("--rm", "--network=none", "--pull=never", "--entrypoint=postgres")
    return postgres_version(docker("run", *options, image, "--version"))
