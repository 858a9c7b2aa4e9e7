"""Who is to join which RPC network."""

from __future__ import annotations

from typing import Any

from control_plane.rpc_networks import missing


def container(name: str, role: str, *networks: str, oneoff: str = "False") -> dict[str, Any]:
    """One container in the engine's listing."""
    return {
        "Id": name,
        "Labels": {"compose_run_launcher.role": role, "com.docker.compose.oneoff": oneoff},
        "NetworkSettings": {"Networks": {network: {} for network in networks}},
    }


ELT = container("elt", "code-location", "stack_core", "stack_rpc_elt")
ANALYTICS = container("analytics", "code-location", "stack_core", "stack_rpc_analytics")


def test_the_control_plane_joins_the_network_of_each_location() -> None:
    webserver = container("webserver", "control-plane", "stack_control", "stack_rpc_elt")
    daemon = container("daemon", "control-plane", "stack_control")
    assert missing([ELT, ANALYTICS, webserver, daemon], "stack") == [
        ("stack_rpc_analytics", "webserver"),
        ("stack_rpc_analytics", "daemon"),
        ("stack_rpc_elt", "daemon"),
    ]


def test_nobody_else_joins_and_no_other_network_is_joined() -> None:
    postgres = container("postgres", "", "stack_core", "stack_control")
    by_hand = container("by-hand", "control-plane", oneoff="True")
    webserver = container("webserver", "control-plane", "stack_rpc_elt", "stack_rpc_analytics")
    stranger = container("stranger", "code-location", "stack_core", "other_rpc_stranger")
    assert missing([ELT, ANALYTICS, postgres, by_hand, webserver, stranger], "stack") == []
