"""Routing rules of the host that keep containers of one network away from some addresses.

    python -m docker_gateway.outside_rules add SUBNET [BLOCKED ...]
    python -m docker_gateway.outside_rules remove SUBNET

They hold for what comes from SUBNET, a network of Docker's, and for nothing else on the host: the
host itself and other containers go on reaching BLOCKED. Needs NET_ADMIN in the host's network.
Source: ip-rule(8).
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

# Rules are read in this order; the host's own tables come at 32766.
_NAME_SERVERS, _BLOCKED = 1000, 1001
_MAIN_TABLE = 254


def network(text: str) -> ipaddress.IPv4Network:
    """An IPv4 network such as 169.254.0.0/16; an address is a network of one."""
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ArgumentTypeError(
            f"OUTSIDE_BLOCKED: {error}. Fix: networks such as 169.254.0.0/16, separated by spaces"
        ) from None


def remove(routing: IPRoute, subnet: ipaddress.IPv4Network) -> None:
    """Take away all rules for packets from `subnet`."""
    for rule in routing.get_rules(family=socket.AF_INET):
        source = f"{rule.get_attr('FRA_SRC')}/{rule['src_len']}"
        priority = rule.get_attr("FRA_PRIORITY")
        if source == str(subnet) and priority in (_NAME_SERVERS, _BLOCKED):
            routing.rule("del", priority=priority, src=source)


def add(
    routing: IPRoute, subnet: ipaddress.IPv4Network, blocked: Sequence[ipaddress.IPv4Network]
) -> None:
    """Replace the rules for packets from `subnet`: they reach nothing in `blocked`, but DNS.

    In some clouds (Google's) the machine's name server has a link-local address, and Docker asks it
    from the container's own network.
    """
    remove(routing, subnet)
    for target in blocked:
        route: dict[str, Any] = {"src": str(subnet), "dst": str(target)}
        for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            ports = {"ip_proto": int(protocol), "dport_range": "53:53"}
            routing.rule("add", priority=_NAME_SERVERS, table=_MAIN_TABLE, **route, **ports)
        routing.rule("add", priority=_BLOCKED, action="prohibit", **route)


def main(arguments: Sequence[str]) -> int:
    """Add or remove; the exit status."""
    parser = ArgumentParser(prog="outside_rules", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["add", "remove"])
    parser.add_argument("subnet", type=network)
    parser.add_argument("blocked", type=network, nargs="*")
    asked = parser.parse_args(arguments)
    try:
        with IPRoute() as routing:
            if asked.what == "add":
                add(routing, asked.subnet, asked.blocked)
            else:
                remove(routing, asked.subnet)
    except NetlinkError as error:
        print(
            f"error: the host's routing rules cannot be changed: {error}. Fix: this container needs"
            " NET_ADMIN in the host's network; with OUTSIDE_BLOCKED= in .env nothing is blocked",
            file=sys.stderr,
        )
        return 1
    for target in asked.blocked if asked.what == "add" else ():
        print(f"containers in {asked.subnet} cannot reach {target} (OUTSIDE_BLOCKED)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
