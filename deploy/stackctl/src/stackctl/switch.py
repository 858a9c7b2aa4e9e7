"""From one release to the next without a moment in which the location does not answer."""

from __future__ import annotations

from collections.abc import Sequence

from stackctl import candidate as candidates
from stackctl.control_plane import PORT, ControlPlane, answer
from stackctl.docker import DockerError, docker, inspect, remove_container
from stackctl.errors import StackctlError
from stackctl.service import Container, Service, content_of
from stackctl.waiting import until

_HEALTHY_S = 120
_DRAINED_S = 30
# For a command of the control plane to start, which imports Dagster, and to report its own end.
_STARTS_S = 30


class NotServed(StackctlError):
    """The control plane does not serve the new release."""


def switch(
    service: Service, control: ControlPlane, candidate: Container, former: Sequence[Container]
) -> None:
    """Let the candidate in and the ``former`` containers end. Raises NotServed if that fails.

    A server that is drained answers the calls that it has, and takes no more: those find the
    candidate, for both have the same names until then.
    """
    docker("image", "tag", candidate.image, service.live_image)
    try:
        candidates.let_in(service, candidate)
    except DockerError as error:
        # It has names in some networks by now: one that ends there cannot join the others.
        _check_alive(candidate)
        raise NotServed(f"it could not be let in: {error}") from None
    _check_alive(candidate)
    running = [one for one in former if one.running]
    for one in running:
        _drain(service, control, one)
    if running:
        docker("container", "stop", *(one.id for one in running))
    candidates.adopt(service, candidate)


def verify(service: Service, control: ControlPlane, now: Container, image: str, s: float) -> None:
    """Wait until webserver and daemon serve ``image``, ``s`` seconds at most. Raises NotServed."""
    limit = s + _STARTS_S
    waiting = ("await-release", service.location, image, f"--seconds={s:.0f}")
    with control.started(*waiting, seconds=limit) as webserver:
        _wait_for_daemon(service, control, now, image, s)
        try:
            answer(webserver, limit)
        except StackctlError as error:
            raise NotServed(f"the webserver does not serve it: {error}") from None


def step_back(service: Service, failed: Container, old: Container) -> None:
    """Have the former release serve again, then end the failed one.

    Raises StackctlError when the former one does not get healthy.
    """

    def healthy() -> bool:
        found = inspect("container", old.id)
        return bool(found) and found[0]["State"].get("Health", {}).get("Status") == "healthy"

    docker("image", "tag", old.image, service.live_image)
    docker("container", "update", f"--restart={service.restart_policy}", old.id)
    docker("container", "start", old.id)
    if not until(healthy, _HEALTHY_S, 0.2):
        raise StackctlError(
            f"the former release of {service.location} does not get healthy either. Fix: see"
            f" docker logs {old.name}, and make rollback LOCATION={service.location} TO=release"
        )
    end(failed)


def end(container: Container) -> None:
    """Stop a container as its service would, and remove it."""
    if inspect("container", container.id):
        docker("container", "stop", container.id)
    remove_container(container.id)


def repair(service: Service) -> None:
    """Put right what an interrupted command left; what serves goes on.

    A release is named live before the former one is asked to end, which then may be about to.
    """
    image = inspect("image", service.live_image)
    live = content_of(image[0]) if image else None
    candidate = service.candidate()
    if candidate and candidate.content == live and candidates.is_in(service, candidate):
        candidates.adopt(service, candidate)
    elif candidate:
        candidates.discard(service)
    containers = service.containers()
    running = [one for one in containers if one.running]
    if not running:
        # Down on purpose, or never up.
        return
    keep = next((one for one in running if one.content == live), running[0])
    if candidate:
        docker("image", "tag", keep.image, service.live_image)
    for one in containers:
        if one.id != keep.id:
            end(one)


def _drain(service: Service, control: ControlPlane, former: Container) -> None:
    """Have a server answer its calls and end; one that does not is left to be stopped."""
    # It ends by itself then, and is not to be started again.
    docker("container", "update", "--restart=no", former.id)
    address = former.address(service.rpc_network)
    if not address:
        # Made before there were RPC networks.
        return
    try:
        control.tell("drain", f"{address}:{PORT}")
    except StackctlError:
        return

    def ended() -> bool:
        found = inspect("container", former.id)
        return not found or not found[0]["State"]["Running"]

    until(ended, _DRAINED_S, 0.1)


def _check_alive(container: Container) -> None:
    """Raise NotServed if it has ended since it was started by hand, also if it was restarted."""
    found = inspect("container", container.id)
    if not found:
        raise NotServed("somebody removed its container")
    if found[0]["RestartCount"] or not found[0]["State"]["Running"]:
        raise NotServed("its container ended as soon as it was live")


def _wait_for_daemon(
    service: Service, control: ControlPlane, now: Container, image: str, seconds: float
) -> None:
    def served() -> bool:
        _check_alive(now)
        try:
            return control.served_by_daemon().get(service.location) == image
        except DockerError as error:
            raise NotServed(f"the daemon cannot be asked: {error}") from None

    if not until(served, seconds, 0.1):
        raise NotServed(f"the daemon does not serve it after {seconds:.0f} s")
