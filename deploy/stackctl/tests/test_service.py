"""Where a code location's server answers, and which addresses candidates get."""

from typing import Any

import pytest

from stackctl.errors import StackctlError
from stackctl.service import Container, Service, content_of
from stackctl.stack import Stack

NETWORK: dict[str, Any] = {
    "name": "stack_rpc_elt",
    "labels": {"compose_run_launcher.network": "rpc"},
    "ipam": {"config": [{"subnet": "198.18.0.32/27", "ip_range": "198.18.0.32/28"}]},
}


class Engineless(Service):
    """A service whose containers are given."""

    def __init__(self, network: dict[str, Any], *containers: dict[str, Any]) -> None:
        config = {
            "name": "stack",
            "services": {"elt": {"networks": {"core": None, "rpc_elt": None}}},
            "networks": {"core": {"name": "stack_core"}, "rpc_elt": network},
        }
        super().__init__(Stack(config), "elt")
        self._containers = [
            Container("id", "elt", "image", "running", 1, "", {"stack_rpc_elt": one}, (), "")
            for one in containers
        ]

    def _all(self) -> list[Container]:
        return self._containers


def test_candidates_get_addresses_that_the_engine_gives_to_nobody() -> None:
    first = Engineless(NETWORK, {"IPAddress": "198.18.0.34"})
    assert first.rpc_network == "stack_rpc_elt"
    assert first.free_address() == "198.18.0.48"


def test_a_candidates_address_is_higher_than_the_one_that_serves() -> None:
    assert Engineless(NETWORK, {"IPAddress": "198.18.0.49"}).free_address() == "198.18.0.50"
    assert Engineless(NETWORK, {"IPAddress": "198.18.0.62"}).free_address() == "198.18.0.48"


def test_a_stopped_container_keeps_its_address() -> None:
    running = {"IPAddress": "198.18.0.48", "IPAMConfig": {"IPv4Address": "198.18.0.48"}}
    stopped = {"IPAddress": "", "IPAMConfig": {"IPv4Address": "198.18.0.49"}}
    assert Engineless(NETWORK, running, stopped).free_address() == "198.18.0.50"


@pytest.mark.parametrize("ipam", [{}, {"config": [{"subnet": "198.18.0.32/27"}]}])
def test_a_network_without_addresses_for_candidates(ipam: dict[str, Any]) -> None:
    with pytest.raises(StackctlError, match=r"stack_rpc_elt has no address.*Fix: give it"):
        Engineless(NETWORK | {"ipam": ipam}).free_address()


def test_a_service_in_no_rpc_network() -> None:
    with pytest.raises(StackctlError, match=r"elt is in no RPC network.*Fix: add the network"):
        Engineless({"name": "stack_rpc_elt"}).free_address()


IMAGE: dict[str, Any] = {
    "Id": "sha256:1",
    "RootFS": {"Layers": ["sha256:a", "sha256:b"]},
    "Config": {"Env": ["A=1"], "Labels": {"org.opencontainers.image.created": "today"}},
}


def test_an_image_that_was_built_again_has_the_same_content() -> None:
    """With containerd's image store each build may have an id of its own."""
    again = IMAGE | {"Id": "sha256:2", "Config": {"Labels": {}, "Env": ["A=1"]}}
    assert content_of(again) == content_of(IMAGE)


@pytest.mark.parametrize(
    "other", [{"RootFS": {"Layers": ["sha256:a", "sha256:c"]}}, {"Config": {"Env": ["A=2"]}}]
)
def test_an_image_with_another_file_or_setting_has_another_content(other: dict[str, Any]) -> None:
    assert content_of(IMAGE | other) != content_of(IMAGE)
