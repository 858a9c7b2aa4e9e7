"""Of what a run may be a copy: the declared services, and never what is none."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from conftest import Clock
from engine_stand_in import EngineStandIn
from shop import CREATE, RUN_NAME, VERSION, Caller, copy_of, run_labels

from docker_gateway.stack import FORMER_S

Body = dict[str, Any]
OTHER = "b" * 64


@pytest.fixture
def body(service: Body, engine: EngineStandIn) -> Body:
    """What the launcher sends for a copy of the service."""
    return copy_of(service, engine.images[service["Image"]], run_labels())


def status(daemon: Caller, body: Body) -> int:
    """Of an attempt to create it."""
    return daemon.ask("POST", CREATE + RUN_NAME, body).status


def with_host_mount(service: Body, name: str, **labels: str) -> Body:
    """Another container with the service's labels, and the host's files."""
    other = copy.deepcopy(service)
    other["Id"], other["Name"] = OTHER, name
    other["HostConfig"]["Binds"] = ["/:/host"]
    other["Config"]["Labels"] |= labels
    return other


ONE_OFF = {"com.docker.compose.oneoff": "True"}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("/shop-elt-run-0123456789ab", ONE_OFF),
        # Whatever it is called, and whatever was said of it by hand.
        ("/shop-elt-2", ONE_OFF),
        ("/shop-elt-run-0123456789ab", {}),
        ("/shop-elt-candidate", {}),
        ("/shop-elt-2", {"com.docker.compose.project": "another"}),
        ("/shop-elt-2", {"com.docker.compose.service": "analytics"}),
        ("/shop-elt-2", {"com.docker.compose.container-number": "3"}),
        (
            "/shop-elt-2",
            {"com.docker.compose.container-number": "2", "compose_run_launcher.role": "x"},
        ),
        ("/mine", {}),
        ("/another-elt-1", {}),
    ],
)
def test_what_is_not_the_service_is_never_copied(
    daemon: Caller,
    engine: EngineStandIn,
    service: Body,
    body: Body,
    name: str,
    labels: dict[str, str],
) -> None:
    """Neither while it is there, nor when it is gone; it was seen by its id, and in a list."""
    engine.add(with_host_mount(service, name, **labels))
    stolen = copy.deepcopy(body)
    stolen["HostConfig"]["Binds"] = ["/:/host"]
    daemon.ask("GET", f"{VERSION}/containers/{OTHER}/json")
    assert status(daemon, stolen) == 403
    del engine.containers[OTHER]
    assert status(daemon, stolen) == 403
    assert not engine.sent
    assert status(daemon, body) == 201


def test_containers_of_docker_compose_run_are_not_inspected(
    daemon: Caller, webserver: Caller, engine: EngineStandIn, service: Body
) -> None:
    engine.add(with_host_mount(service, "/shop-elt-run-0123456789ab", **ONE_OFF))
    for caller in (daemon, webserver):
        assert caller.ask("GET", f"{VERSION}/containers/{OTHER}/json").status == 403


def test_a_role_that_an_image_claims_is_none(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body
) -> None:
    """A service without the label, of an image whose team gave it one."""
    engine.images[service["Image"]]["Config"]["Labels"]["compose_run_launcher.role"] = (
        "code-location"
    )
    assert status(daemon, body) == 503


def test_a_service_that_compose_replaces(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body
) -> None:
    """The new container is there before the old one goes, by another name."""
    new = copy.deepcopy(service)
    new["Id"], new["Name"] = OTHER, f"/{service['Id'][:12]}_shop-elt-1"
    new["HostConfig"]["Memory"] //= 2
    new["HostConfig"]["MemorySwap"] //= 2
    engine.add(new)
    made = copy_of(new, engine.images[new["Image"]], run_labels())
    assert status(daemon, made) == status(daemon, body) == 201


def test_a_service_that_is_replaced_between_two_calls_of_a_launch(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body, clock: Clock
) -> None:
    assert daemon.ask("GET", f"{VERSION}/containers/{service['Id']}/json").status == 200
    new = copy.deepcopy(service) | {"Id": OTHER}
    new["HostConfig"]["ReadonlyRootfs"] = False
    del engine.containers[service["Id"]]
    engine.add(new)
    clock.now = FORMER_S - 1
    assert status(daemon, body) == 201
    # Not for ever: what the service is not any more, a run shall not be.
    clock.now = FORMER_S
    assert status(daemon, body) == 403
    made = copy_of(new, engine.images[new["Image"]], run_labels())
    assert status(daemon, made) == 201


def test_between_two_containers_the_last_one_counts(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body, clock: Clock
) -> None:
    first = copy.deepcopy(service) | {"Id": OTHER}
    first["HostConfig"]["ReadonlyRootfs"] = False
    engine.containers = {OTHER: first} | engine.containers
    of_first = copy_of(first, engine.images[first["Image"]], run_labels())
    assert status(daemon, of_first) == status(daemon, body) == 201
    engine.containers.clear()
    assert status(daemon, body) == 201
    assert status(daemon, of_first) == 403
    clock.now = FORMER_S
    assert status(daemon, body) == 503


def test_a_service_that_is_down_is_still_copied(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body
) -> None:
    service["State"] = {"Status": "exited", "Running": False}
    assert status(daemon, body) == 201


def test_a_service_in_the_network_of_code_servers(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body
) -> None:
    """Its runs are in its other networks, even when it was created in that one."""
    service["NetworkSettings"]["Networks"]["shop_rpc_elt"] = {"NetworkID": "1" * 64}
    service["HostConfig"]["NetworkMode"] = "shop_rpc_elt"
    body["HostConfig"]["NetworkMode"] = "shop_rpc_elt"
    assert status(daemon, body) == 403
    body["HostConfig"]["NetworkMode"] = "none"
    assert status(daemon, body) == 403
    body["HostConfig"]["NetworkMode"] = "shop_core"
    assert status(daemon, body) == 201


def test_a_service_in_the_network_of_code_servers_alone(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body
) -> None:
    service["NetworkSettings"]["Networks"] = {"shop_rpc_elt": {"NetworkID": "1" * 64}}
    service["HostConfig"]["NetworkMode"] = "shop_rpc_elt"
    body["HostConfig"]["NetworkMode"] = "shop_rpc_elt"
    assert status(daemon, body) == 403
    body["HostConfig"]["NetworkMode"] = "none"
    assert status(daemon, body) == 201


@pytest.mark.parametrize("options", [{}, {"Subpath": "analytics"}, {"Subpath": ""}, None], ids=str)
def test_a_part_of_a_volume_stays_that_part(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body, options: Body | None
) -> None:
    mount = {"Type": "volume", "Source": "shop_compute_logs", "Target": "/logs"}
    own = mount | {"VolumeOptions": {"Subpath": "elt"}}
    service["HostConfig"]["Mounts"] = [own]
    body["HostConfig"]["Mounts"] = [mount | ({} if options is None else {"VolumeOptions": options})]
    assert status(daemon, body) == 403
    body["HostConfig"]["Mounts"] = [own]
    assert status(daemon, body) == 201


def test_a_service_without_networks(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body
) -> None:
    service["NetworkSettings"]["Networks"] = {"none": {"NetworkID": "1" * 64}}
    service["HostConfig"]["NetworkMode"] = "none"
    body["HostConfig"]["NetworkMode"] = "none"
    assert status(daemon, body) == 201
    body["HostConfig"]["NetworkMode"] = "host"
    assert status(daemon, body) == 403
