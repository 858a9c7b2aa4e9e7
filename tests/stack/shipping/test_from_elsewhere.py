"""Images that CI built, and engines on other hosts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from harness import Stack
from registry import registry, serve
from releases import deploy, listed, write, write_release
from runs import launch


@pytest.mark.long
def test_an_image_of_a_registry_is_shipped_without_building(stack: Stack, tmp_path: Path) -> None:
    write_release(stack, "built by CI")
    stack.run("env", "ELT_IMAGE=built/elt:ci", "docker", "compose", "build", "elt")
    with registry(tmp_path) as server:
        reference = serve(stack, server, "built/elt:ci", tmp_path)
        stack.run("docker", "rmi", "built/elt:ci")
        # What is in the checkout is not what is shipped.
        write(stack, "raise RuntimeError('not to be built')")
        before = {one["release"] for one in listed(stack)}
        outcome = deploy(stack, f"--image={reference}")
    assert outcome["went_live"]
    assert outcome["release"] not in before
    [now] = [one for one in listed(stack) if one["live"]]
    assert now["revision"] == reference
    run = launch(stack, "elt", "release_job")
    run.wait()
    assert run.stdout() == "release built by CI\n"
    # Compose keeps what was shipped.
    container = stack.container("elt")
    stack.compose("up", "--detach", "--wait", "elt")
    assert stack.container("elt") == container


class _ToTheEngine(BaseRequestHandler):
    """One connection of a host's Docker port, handed on to the engine's socket."""

    def handle(self) -> None:
        with closing(socket.socket(socket.AF_UNIX)) as engine:
            engine.connect("/var/run/docker.sock")
            back = threading.Thread(target=_copy, args=(engine, self.request), daemon=True)
            back.start()
            _copy(self.request, engine)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.fixture
def context(stack: Stack, tmp_path: Path) -> Iterator[None]:
    """A docker context of another host, in use; the engine's own socket is not where it was."""
    with ThreadingTCPServer(("127.0.0.1", 0), _ToTheEngine) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.settings["DOCKER_CONFIG"] = str(tmp_path / "docker")
        host = f"host=tcp://127.0.0.1:{server.server_address[1]}"
        try:
            stack.run("docker", "context", "create", "production", "--docker", host)
            stack.run("docker", "context", "use", "production")
            yield
        finally:
            del stack.settings["DOCKER_CONFIG"]
            server.shutdown()


@pytest.mark.usefixtures("context")
@pytest.mark.long
def test_another_host_by_a_docker_context(stack: Stack) -> None:
    assert "production *" in " ".join(stack.run("docker", "context", "ls").split())
    write_release(stack, "from afar")
    assert deploy(stack)["went_live"]
    run = launch(stack, "elt", "release_job")
    run.wait()
    assert run.stdout() == "release from afar\n"
