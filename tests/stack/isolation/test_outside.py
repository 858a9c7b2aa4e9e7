"""What is in the network `outside` does not reach a cloud's metadata service."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from harness import Stack

# Addresses that no cloud uses, in the same range as the real ones.
HERE, SERVICE = "169.254.213.1", "169.254.213.2"
# Gives what it has to whoever connects; says so once it listens.
_SERVE = f"""
import socket, threading

def answer(listener):
    while True:
        listener.accept()[0].sendall(b"credentials")

listeners = [socket.create_server(("{SERVICE}", port)) for port in (80, 53)]
print("ready", flush=True)
for listener in listeners:
    threading.Thread(target=answer, args=(listener,)).start()
"""
_ASK = f"""
import socket, sys
try:
    with socket.create_connection(("{SERVICE}", int(sys.argv[1])), timeout=5) as connection:
        print(connection.recv(100).decode())
except OSError as error:
    print(f"not reached: {{error}}")
"""


@pytest.fixture(scope="module", autouse=True)
def metadata_service() -> Iterator[None]:
    """A machine beside this one that answers at a link-local address, as a cloud's does."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("making a machine beside this one takes root on Linux, and iproute2")
    name = f"metadata-{os.getpid()}"
    link = f"meta{os.getpid()}"[:15]

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, timeout=30)

    ip("netns", "add", name)
    server = None
    try:
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("address", "add", f"{HERE}/30", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", name, "address", "add", f"{SERVICE}/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "route", "add", "default", "via", HERE)
        command = ["ip", "netns", "exec", name, "python3", "-c", _SERVE]
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert server.stdout and server.stdout.readline() == b"ready\n"
        yield
    finally:
        if server:
            server.kill()
            server.wait()
        ip("netns", "delete", name)


def from_elt(stack: Stack, port: int) -> str:
    return stack.compose("exec", "-T", "elt", "python", "-c", _ASK, str(port)).strip()


def test_a_location_gets_no_credentials(stack: Stack) -> None:
    assert from_elt(stack, 80).startswith("not reached")


def test_a_name_server_may_be_there(stack: Stack) -> None:
    """It shows that the packets would arrive, too."""
    assert from_elt(stack, 53) == "credentials"


def test_nothing_else_on_the_host_is_kept_away(stack: Stack) -> None:
    with socket.create_connection((SERVICE, 80), timeout=5) as connection:
        assert connection.recv(100) == b"credentials"
    image = stack.inspect(stack.container("docker_gateway"))["Config"]["Image"]
    other = ("docker", "run", "--rm", "--network=bridge", image, "python", "-c", _ASK, "80")
    assert stack.run(*other).strip() == "credentials"


def test_the_rules_end_with_the_service_and_come_back(stack: Stack) -> None:
    stack.compose("stop", "outside_rules")
    assert from_elt(stack, 80) == "credentials"
    stack.compose("up", "--detach", "--wait", "--no-deps", "outside_rules")
    assert from_elt(stack, 80).startswith("not reached")
