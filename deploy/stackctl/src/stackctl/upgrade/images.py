"""The images of an upgrade: built under names of their own, and the former ones kept."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from stackctl.docker import ROOT, DockerError, docker, inspect
from stackctl.errors import StackctlError
from stackctl.service import Service, content_of
from stackctl.stack import Stack

_LINES_OF_A_FAILED_BUILD = 15


def own_services(stack: Stack) -> list[str]:
    """The services that an upgrade replaces: all but code locations and what runs their images."""
    of_locations = {
        follower for name in stack.locations for follower in Service(stack, name).followers()
    }
    return [
        name
        for name in stack.config["services"]
        if name not in of_locations and name not in stack.locations
    ]


def lasting(stack: Stack) -> list[str]:
    """Those of them that stay up, apart from one-shot ones."""
    services = stack.config["services"]
    return [name for name in own_services(stack) if not is_one_shot(services[name])]


def is_one_shot(service: Mapping[str, Any]) -> bool:
    """Whether a service ends by itself, as its restart policy says; Compose's default is none."""
    return bool(service.get("restart", "no") == "no")


def needed_by_others(stack: Stack) -> list[str]:
    """Own services that others depend on, each after those that it depends on itself."""
    services = stack.config["services"]
    depends = {name: set(services[name].get("depends_on") or ()) for name in own_services(stack)}
    everyones = {name for each in services.values() for name in each.get("depends_on") or ()}
    wanted = everyones & depends.keys()
    order = TopologicalSorter(depends).static_order()
    return [name for name in order if name in wanted]


def next_name(image: str) -> str:
    """The name of the image that is to be live."""
    return f"{image.rpartition(':')[0]}:next"


def former_name(image: str) -> str:
    """The name of the image that was live before an upgrade."""
    return f"{image.rpartition(':')[0]}:before-upgrade"


def to_build(config: Mapping[str, Any], services: list[str]) -> dict[str, Any]:
    """A compose file that builds these services' images under their next names."""
    built = {name: config["services"][name] for name in services}
    found = {
        "name": config["name"],
        "services": {
            name: {"image": next_name(service["image"]), "build": copy.deepcopy(service["build"])}
            for name, service in built.items()
            if service.get("build")
        },
    }
    return found | ({"secrets": config["secrets"]} if config.get("secrets") else {})


def build(stack: Stack) -> dict[str, str]:
    """Build them; the id of each by the image's live name. What Compose would start stays."""
    config = to_build(stack.config, own_services(stack))
    with compose_file(config) as options:
        try:
            docker("compose", *options, "--progress=plain", "build")
        except DockerError as error:
            lines = error.output.strip().splitlines()[-_LINES_OF_A_FAILED_BUILD:]
            raise StackctlError(
                "a build failed; what runs was not touched:\n  " + "\n  ".join(lines)
            ) from None
    names = {stack.config["services"][name]["image"] for name in config["services"]}
    return {name: str(inspect("image", next_name(name))[0]["Id"]) for name in sorted(names)}


def live(stack: Stack) -> dict[str, str]:
    """The id of the image that each own service runs, by the image's name."""
    services, own = stack.config["services"], own_services(stack)
    return {
        str(services[name]["image"]): str(container["Image"])
        for name, container in containers(stack).items()
        if name in own
    }


def containers(stack: Stack) -> dict[str, dict[str, Any]]:
    """What the engine knows of the container of each service; of several, the newest."""
    own = [f"com.docker.compose.project={stack.project}", "com.docker.compose.oneoff=False"]
    filters = [f"--filter=label={label}" for label in own]
    ids = docker("container", "ls", "--all", "--quiet", "--no-trunc", *filters).split()
    found = sorted(inspect("container", *ids), key=lambda each: str(each["Created"]))
    services = {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}
    return {name: each for name, each in services.items() if name in stack.config["services"]}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The names of images whose content differs."""
    ids = {*before.values(), *after.values()}
    contents = {each["Id"]: content_of(each) for each in inspect("image", *ids)}
    return [
        name
        for name in sorted(after)
        if contents.get(before.get(name, "")) != contents.get(after[name])
    ]


def reconfigured(stack: Stack) -> list[str]:
    """Own services that this checkout configures otherwise than what runs."""
    wanted = dict(
        line.split() for line in docker("compose", "config", "--hash", "*").splitlines() if line
    )
    label, own = "com.docker.compose.config-hash", own_services(stack)
    return [
        name
        for name, container in containers(stack).items()
        if name in own and container["Config"]["Labels"][label] != wanted.get(name)
    ]


def make_live(ids: Mapping[str, str]) -> None:
    """Give images the names that Compose starts."""
    for name, image in ids.items():
        docker("image", "tag", image, name)


def keep_former(ids: Mapping[str, str]) -> None:
    """Give images names that keep them from being pruned."""
    for name, image in ids.items():
        docker("image", "tag", image, former_name(name))


def forget_next(names: Mapping[str, str]) -> None:
    """Remove the names of what was built; the build cache keeps the work."""
    present = [next_name(name) for name in names if inspect("image", next_name(name))]
    if present:
        docker("image", "rm", *present)


@contextmanager
def compose_file(config: Mapping[str, Any]) -> Iterator[list[str]]:
    """Options that let `docker compose` use another file, for the same folder."""
    # It has settings of .env, which only its owner may be able to read.
    with tempfile.TemporaryDirectory(prefix="upgrade-") as folder:
        path = Path(folder) / "compose.json"
        path.write_text(json.dumps(config))
        yield [f"--file={path}", f"--project-directory={ROOT}", f"--project-name={config['name']}"]
