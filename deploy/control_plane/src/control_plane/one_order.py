"""Calls to a code location go to one server, also while two have its name.

While a release is switched, the old and the new server have the location's name for a moment,
and a lookup gives both addresses in any order. Dagster loads a location by several calls, each
over a connection of its own: some would be answered by the one, some by the other, and what they
say together is a mixture of releases. In one order, all calls go to the same server until it takes
no more, and then all to the other.
"""

from __future__ import annotations

import ipaddress
import socket

from control_plane.internals.code_servers import translate_addresses


def keep_one_order() -> None:
    """Let this process's clients of code servers try a name's addresses in one order."""
    translate_addresses(target)


def target(address: str) -> str:
    """What gRPC is to connect to for ``host:port``; anything else is returned as it is."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal():
        return address
    try:
        found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        # gRPC looks it up itself, and says what is wrong in its own words.
        return address
    ordered = sorted({str(one[4][0]) for one in found}, key=ipaddress.ip_address)
    return "ipv4:" + ",".join(f"{ip}:{port}" for ip in ordered)
