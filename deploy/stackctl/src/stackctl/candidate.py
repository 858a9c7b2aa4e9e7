"""A container of the service that nobody gets yet.

Compose makes it, so that it is a container of the service like any other and a later
`docker compose up` finds nothing to change. Until it is let in it has none of the service's
names in the network, and a name by which the run launcher leaves it alone.
"""

from __future__ import annotations

from stackctl.docker import docker, inspect, remove_container
from stackctl.errors import StackctlError
from stackctl.service import Container, Service


def make(service: Service, image: str) -> Container:
    """Make and start a candidate of ``image``. What serves, and what Compose would start, stay."""
    before = {one.id for one in service.containers()}
    former = inspect("image", service.live_image)
    # Compose labels a container with the name and the id of its image, and makes another one
    # when either is not what it would choose; so the name stands for the new image meanwhile.
    docker("image", "tag", image, service.live_image)
    # Not with --no-deps: Compose 2.26 would label it as a service that depends on nothing, and
    # make another one at the next `up`.
    try:
        docker(
            "compose", "up", "--no-start", "--no-build", "--no-recreate",
            f"--scale={service.location}={len(before) + 1}", service.location,
        )  # fmt: skip
    finally:
        if former:
            docker("image", "tag", former[0]["Id"], service.live_image)
    made = [one for one in service.containers() if one.id not in before]
    if not made:
        raise StackctlError(f"Compose made no container for {service.location}")
    container = made[0]
    docker("container", "rename", container.id, service.candidate_name)
    rpc = service.rpc_network
    address = service.free_address()
    for network in service.aliases():
        _join(container, network, [], address if network == rpc else None)
    # One that fails at its start is to show why, not to try again.
    docker("container", "update", "--restart=no", container.id)
    docker("container", "start", container.id)
    return _again(service)


def let_in(service: Service, candidate: Container) -> None:
    """Give the candidate the service's names: from here on people get it, too."""
    docker("container", "update", f"--restart={service.restart_policy}", candidate.id)
    aliases, rpc = service.aliases(), service.rpc_network
    # Where the control plane looks for it comes last: while two servers have one name, it sees
    # now the one and now the other.
    for network in sorted(aliases, key=lambda network: network == rpc):
        # Its code server listens on the address that it has, and on no other.
        address = candidate.address(rpc) if network == rpc else None
        _join(candidate, network, aliases[network], address)


def adopt(service: Service, candidate: Container) -> None:
    """Call it what Compose would; from here on runs are copies of it."""
    name = f"{service.stack.project}-{service.location}-{candidate.number}"
    docker("container", "rename", candidate.id, name)


def is_in(service: Service, candidate: Container) -> bool:
    """Whether it runs, and has the service's names in all networks."""
    joined = {
        network
        for network, settings in candidate.networks.items()
        if service.location in (settings.get("Aliases") or ())
    }
    return candidate.running and joined >= service.aliases().keys()


def discard(service: Service) -> None:
    """Remove the candidate, if there is one."""
    remove_container(service.candidate_name)


def _join(container: Container, network: str, aliases: list[str], address: str | None) -> None:
    docker("network", "disconnect", "--force", network, container.id)
    options = [f"--alias={alias}" for alias in aliases]
    if address:
        options.append(f"--ip={address}")
    docker("network", "connect", *options, network, container.id)


def _again(service: Service) -> Container:
    candidate = service.candidate()
    if candidate is None:
        raise StackctlError(f"the candidate of {service.location} was removed by somebody")
    return candidate
