"""Beyond loopback: users, roles, TLS, and no start without them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from http.client import HTTPException

import pytest

from harness import Stack, until
from web_gateway_requests import JSON, MUTATION, QUERY, REPORT
from web_gateways import Answer, Gateway, Upstream, in_secrets, web_gateway

PASSWORD = "planted-password-5up3r"
ORIGIN = ("Origin", "https://{host}")


def basic(name: str, password: str = PASSWORD) -> tuple[str, str]:
    """The header of a login."""
    return "Authorization", "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


EDITOR, VIEWER = basic("ed"), basic("vi")


def access(upstream: Upstream, volume: str, *command: str) -> None:
    """What ``make user`` does, but for the question at the terminal."""
    place = ("--directory=/secrets/web_gateway", "--owner=99")
    in_secrets(
        upstream, volume, "control_plane.web_access", *place, *command, stdin=PASSWORD + "\n"
    )


@pytest.fixture(scope="module")
def volume(upstream: Upstream) -> Iterator[str]:
    """A volume with the certificate that a first start makes, and no users."""
    name = f"webgw-{uuid.uuid4().hex[:8]}"
    try:
        made = ("--directory=/tmp/all", "--certificate=/secrets/web_gateway:99")
        in_secrets(upstream, name, "control_plane.secrets", *made)
        yield name
    finally:
        subprocess.run(["docker", "volume", "rm", "--force", name], capture_output=True)


@pytest.fixture(scope="module")
def remote(upstream: Upstream, volume: str) -> Iterator[Gateway]:
    """A gateway that others can reach, with an editor and a viewer."""
    access(upstream, volume, "add", "ed", "editor")
    access(upstream, volume, "add", "vi", "viewer")
    with web_gateway(upstream, volume) as gateway:
        yield gateway


@pytest.mark.parametrize("bind", ["0.0.0.0", "192.168.1.5", "[::]", "10.0.0.1", "127.0.0.1.evil"])
def test_no_start_without_users(upstream: Upstream, volume: str, bind: str) -> None:
    with_certificate = f"--volume={volume}:/run/secrets:ro"
    started = subprocess.run(
        ["docker", "run", "--rm", with_certificate, f"--env=WEB_BIND={bind}", upstream.image],
        capture_output=True,
        text=True,
    )
    assert started.returncode != 0
    assert started.stderr.startswith(f"error: WEB_BIND is '{bind}'")
    assert "make user" in started.stderr


def test_nobody_comes_in_without_a_password(remote: Gateway) -> None:
    before = len(remote.logs())
    for headers in ([], [basic("ed", "wrong")], [basic("nobody")], [("Authorization", "Bearer x")]):
        answer = remote.ask("POST", "/graphql", [JSON, *headers], QUERY)
        assert answer.status == 401
        assert "Basic" in answer.headers["www-authenticate"]
    remote.logged(before, rule="login", status=401, user="")


def test_an_editor_may_do_all(remote: Gateway) -> None:
    before = len(remote.logs())
    answer = remote.ask("POST", "/graphql", [JSON, EDITOR, ORIGIN], MUTATION)
    assert answer.status == 200
    remote.logged(before, user="ed", mutation="reloadWorkspace")
    assert remote.ask("POST", REPORT, [EDITOR]).status == 200
    assert "strict-transport-security" not in answer.headers
    assert PASSWORD not in str(remote.logs())


def test_a_viewer_may_look(remote: Gateway) -> None:
    assert remote.ask("POST", "/graphql", [JSON, VIEWER, ORIGIN], QUERY).status == 200
    assert remote.ask("GET", "/runs", [VIEWER]).status == 200


@pytest.mark.parametrize(
    "body",
    [
        MUTATION,
        json.dumps({"query": "query A { version } mutation B { reloadWorkspace { x } }"}),
        '{"query": "{ version }", "query": "mutation { reloadWorkspace { __typename } }"}',
        r'{"query": "\u006Dutation { reloadWorkspace { __typename } }"}',
        MUTATION.replace("{", "{" + " " * 60_000, 1),
    ],
    ids=["plain", "second", "duplicate-key", "escaped", "far-behind"],
)
def test_a_viewer_changes_nothing(remote: Gateway, body: str) -> None:
    before = len(remote.logs())
    length = ("Content-Length", str(len(body)))
    answer = remote.ask("POST", "/graphql", [JSON, VIEWER, length], body)
    assert answer.status == 403
    remote.logged(before, rule="role", user="vi", status=403)


@pytest.fixture(scope="module")
def with_viewers(stack: Stack, upstream: Upstream, volume: str) -> Iterator[Gateway]:
    """A gateway before both webservers, as the profile `viewers` starts the second one."""
    viewers = ("--profile=viewers",)
    access(upstream, volume, "add", "ed", "editor")
    access(upstream, volume, "add", "vi", "viewer")
    stack.compose(*viewers, "up", "--detach", "--wait", "--no-deps", "webserver_viewer")
    try:
        address = "webserver-viewer-ui:3000"
        with web_gateway(upstream, volume, WEBSERVER_VIEWER_ADDRESS=address) as gateway:
            yield gateway
    finally:
        stack.compose(*viewers, "rm", "--stop", "--force", "webserver_viewer")


@pytest.mark.skipif("WEB_GATEWAY_IMAGE" in os.environ, reason="there is no stack")
@pytest.mark.parametrize(("who", "may"), [(EDITOR, True), (VIEWER, False)], ids=["ed", "vi"])
def test_a_viewers_ui_offers_no_change(
    with_viewers: Gateway, who: tuple[str, str], may: bool
) -> None:
    """Dagster's own answer, by which its UI shows or hides what changes anything."""
    query = json.dumps({"query": "{ permissions { permission value } }"})

    def answered() -> Answer:
        answer = with_viewers.ask("POST", "/graphql", [JSON, who], query)
        assert answer.status == 200
        return answer

    permissions = json.loads(until(answered, seconds=30).body)["data"]["permissions"]
    values = {each["permission"]: each["value"] for each in permissions}
    assert values["launch_pipeline_execution"] is may
    assert values["terminate_pipeline_execution"] is may
    # Both know the same code locations.
    query = json.dumps({"query": "{ workspaceOrError { ... on Workspace { id } __typename } }"})
    assert "Workspace" in with_viewers.ask("POST", "/graphql", [JSON, who], query).body


def test_a_viewer_reports_nothing(remote: Gateway) -> None:
    assert remote.ask("POST", REPORT, [VIEWER]).status == 403


@pytest.mark.parametrize("origin", ["http://{host}", "https://evil.example"])
def test_a_login_is_no_way_around_the_rules(remote: Gateway, origin: str) -> None:
    headers = [JSON, EDITOR, ("Origin", origin)]
    assert remote.ask("POST", "/graphql", headers, MUTATION).status == 403


def test_identity_is_nobodys_to_claim(remote: Gateway) -> None:
    claimed = [("X-Forwarded-User", "ed"), ("Remote-User", "ed"), ("X-Auth-Request-User", "ed")]
    assert remote.ask("POST", "/graphql", [JSON, *claimed], QUERY).status == 401


def test_plain_http_gets_nothing(remote: Gateway) -> None:
    plain = Gateway(remote.port, remote.container)
    with pytest.raises((OSError, HTTPException)):
        plain.ask("GET", "/", [EDITOR])


def test_users_come_and_go_while_it_runs(upstream: Upstream, volume: str) -> None:
    access(upstream, volume, "add", "temp", "editor")
    with web_gateway(upstream, volume) as gateway:
        headers = [JSON, basic("temp")]
        assert gateway.ask("POST", "/graphql", headers, QUERY).status == 200
        access(upstream, volume, "remove", "temp")
        command = ["docker", "kill", "--signal=SIGUSR2", gateway.container]
        subprocess.run(command, check=True, capture_output=True)

        def gone() -> None:
            assert gateway.ask("POST", "/graphql", headers, QUERY).status == 401

        until(gone, seconds=30)


def test_guesses_are_counted(upstream: Upstream, volume: str) -> None:
    with web_gateway(upstream, volume) as gateway:
        before = len(gateway.logs())
        statuses = [gateway.ask("GET", "/", [basic("ed", "guess")]).status for _ in range(15)]
        assert statuses[0] == 401
        assert statuses[-1] == 429
        gateway.logged(before, rule="login-rate", status=429)


def test_a_certificate_of_ones_own(upstream: Upstream, volume: str) -> None:
    """Given ones are put beside the self-signed one, under another name."""
    own = f"webgw-{uuid.uuid4().hex[:8]}"
    mounts = [f"--volume={volume}:/from:ro", f"--volume={own}:/to"]
    copy = "cp /from/web_tls_self_signed /to/web_tls && chown 99:99 /to/web_tls"
    try:
        subprocess.run(
            ["docker", "run", "--rm", *mounts, "--entrypoint=sh", upstream.secrets, "-c", copy],
            check=True,
        )
        access(upstream, own, "add", "ed", "editor")
        with web_gateway(upstream, own) as gateway:
            answer = gateway.ask("GET", "/server_info", [EDITOR])
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
    finally:
        subprocess.run(["docker", "volume", "rm", "--force", own], capture_output=True)
