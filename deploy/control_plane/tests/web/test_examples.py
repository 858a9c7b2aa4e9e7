"""The configurations of docs/reverse-proxy: a browser's way through nginx and Caddy to Dagster."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import (
    JSON,
    LOGIN,
    PAGE,
    ROOT,
    Answer,
    Gateway,
    free_port,
    gateway,
    programs,
    running,
    until,
)
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from control_plane.web_access import CERTIFICATE_FILE, renew_certificate

EXAMPLES = ROOT / "docs/reverse-proxy"
VISITOR = "127.0.0.9"
HOST = "dagster.example.com"
QUERY = json.dumps({"query": "{ version }"})
MUTATION = json.dumps({"query": "mutation { reloadWorkspace { __typename } }"})


def changed(name: str, changes: dict[str, str]) -> str:
    """An example with other ports and paths; each must be in it."""
    text = (EXAMPLES / name).read_text()
    for given, here in changes.items():
        assert given in text, given
        text = text.replace(given, here)
    return text


@contextmanager
def nginx(folder: Path, port: int, gateway_port: int, certificate: Path) -> Iterator[None]:
    site = changed(
        "nginx.conf",
        {
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "/etc/nginx/tls/fullchain.pem": str(certificate),
            "/etc/nginx/tls/privkey.pem": str(certificate),
            "127.0.0.1:3000": f"127.0.0.1:{gateway_port}",
        },
    )
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;"
        f"events {{}} http {{ access_log off; {paths} {site} }}"
    )
    command = [str(programs() / "nginx"), "-p", str(folder), "-e", "stderr"]
    with running([*command, "-c", str(configuration)], folder / "output"):
        yield


@contextmanager
def caddy(folder: Path, port: int, gateway_port: int, certificate: Path) -> Iterator[None]:
    site = changed(
        "Caddyfile",
        {
            "\ndagster.example.com {": f"\nhttps://dagster.example.com:{port} {{\n\tbind 127.0.0.1",
            "/etc/caddy/tls/fullchain.pem": str(certificate),
            "/etc/caddy/tls/privkey.pem": str(certificate),
            "127.0.0.1:3000": f"127.0.0.1:{gateway_port}",
        },
    )
    configuration = folder / "Caddyfile"
    configuration.write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}")
    command = [str(programs() / "caddy"), "run", "--config", str(configuration)]
    environment = {"HOME": str(folder), "PATH": ""}
    with running([*command, "--adapter", "caddyfile"], folder / "output", env=environment):
        yield


class Site:
    """What a browser at VISITOR sees of the proxy."""

    def __init__(self, port: int, gateway: Gateway) -> None:
        self.port, self.gateway = port, gateway
        self.origin = f"https://{HOST}:{port}"
        self.tls = ssl.create_default_context()
        # Self-signed, and for another name.
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    def _connected(self) -> socket.socket:
        return socket.create_connection(
            ("127.0.0.1", self.port), timeout=30, source_address=(VISITOR, 0)
        )

    def ask(self, path: str, headers: dict[str, str], body: str | None = None) -> Answer:
        connection = HTTPSConnection(HOST, self.port)
        connection.sock = self.tls.wrap_socket(self._connected(), server_hostname=HOST)
        with closing(connection):
            given = {"Host": f"{HOST}:{self.port}", **LOGIN, **headers}
            connection.request("POST" if body else "GET", path, body, given)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read().decode())

    def subscribe(self) -> dict[str, Any]:
        """What Dagster says to a subscription that it does not know."""
        with connect(
            f"wss://{HOST}:{self.port}/dagster/graphql",
            sock=self._connected(),
            ssl=self.tls,
            server_hostname=HOST,
            subprotocols=[Subprotocol("graphql-ws")],
            origin=Origin(self.origin),
            additional_headers=LOGIN,
            open_timeout=30,
        ) as websocket:
            websocket.send(json.dumps({"type": "connection_init"}))
            assert json.loads(websocket.recv(30))["type"] == "connection_ack"
            asked = {"query": "subscription { unknown }"}
            websocket.send(json.dumps({"type": "start", "id": "1", "payload": asked}))
            said: dict[str, Any] = json.loads(websocket.recv(30))
            return said


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def site(
    request: pytest.FixtureRequest,
    webservers: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    proxy: Callable[..., Any] = request.param
    folder = tmp_path_factory.mktemp("proxy")
    renew_certificate(folder, None)
    settings = {
        "WEB_PATH_PREFIX": "/dagster",
        "WEB_HOSTS": HOST,
        # On the same machine, as the page says.
        "WEB_TRUSTED_PROXIES": "host",
    }
    port = free_port()
    with (
        gateway(folder / "gateway", webservers["/dagster"], **settings) as behind,
        proxy(folder, port, behind.port, folder / CERTIFICATE_FILE),
    ):
        until(
            lambda: socket.create_connection(("127.0.0.1", port)).close() is None,
            str(folder / "output"),
        )
        yield Site(port, behind)


def test_the_page_loads(site: Site) -> None:
    page = site.ask("/dagster/runs", PAGE)
    assert page.status == 200, page.body
    assert len(page.header("strict-transport-security")) == 1
    assert len(page.header("x-content-type-options")) == 1
    script = re.search(r'<script[^>]* src="(/dagster/[^"]+)"', page.body)
    assert script and site.ask(script[1], {}).status == 200
    entry = site.ask("/dagster", PAGE)
    assert entry.status in (301, 308)
    assert entry.header("location")[0] in ("/dagster/", f"{site.origin}/dagster/")


def test_changes_are_logged_with_the_visitors_address(site: Site) -> None:
    own = JSON | {"Origin": site.origin, "X-Forwarded-For": "203.0.113.99"}
    answer = site.ask("/dagster/graphql?op=Q", own, QUERY)
    assert answer.status == 200, answer
    assert "version" in json.loads(answer.body)["data"]
    assert site.ask("/dagster/graphql", own, MUTATION).status == 200
    line = site.gateway.logged(mutation="reloadWorkspace")
    assert (line["client"], line["user"]) == (VISITOR, "alice")


def test_another_sites_page_is_refused(site: Site) -> None:
    answer = site.ask("/dagster/graphql", JSON | {"Origin": "https://evil.example"}, MUTATION)
    assert (answer.status, answer.body[:24]) == (403, "web gateway, rule origin")


def test_subscriptions(site: Site) -> None:
    assert site.subscribe()["type"] == "error"
    site.gateway.logged(websocket=True, client=VISITOR)


def test_traefiks_files_say_the_same() -> None:
    """Traefik cannot be had here: its files are read, and not run."""
    static = yaml.safe_load((EXAMPLES / "traefik.yml").read_text())
    assert static["providers"]["file"]["filename"] == "/etc/traefik/dagster.yml"
    dynamic = yaml.safe_load((EXAMPLES / "traefik-dagster.yml").read_text())
    http = dynamic["http"]
    for router in http["routers"].values():
        assert set(router["entryPoints"]) <= set(static["entryPoints"])
        assert router["service"] in http["services"]
        assert set(router["middlewares"]) <= set(http["middlewares"])
        assert "/dagster" in router["rule"] and HOST in router["rule"]
    servers = http["services"]["dagster"]["loadBalancer"]["servers"]
    assert servers == [{"url": "http://127.0.0.1:3000"}]
