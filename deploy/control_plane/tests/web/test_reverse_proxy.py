"""The web gateway behind a reverse proxy: whom it believes, and what it says of mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from programs import JSON, LOGIN, PAGE, Gateway, ask, gateway, refused

HOST = "dagster.example.com"
# The proxy's address, and others'.
PROXY, OUTER_PROXY, STRANGER, VISITOR = "127.0.0.2", "127.0.0.3", "127.0.0.4", "203.0.113.7"
QUERY = json.dumps({"query": "{ version }"})
MUTATION = json.dumps({"query": "mutation { reloadWorkspace { __typename } }"})
# As a proxy passes on what a browser asks.
PROXIED = {
    "Host": HOST,
    "X-Forwarded-For": VISITOR,
    "X-Forwarded-Proto": "https",
    **LOGIN,
}
OWN = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin", **JSON}
TRUSTED = {"WEB_TRUSTED_PROXIES": f"{PROXY} 127.0.0.3/32", "WEB_HOSTS": HOST}


@pytest.fixture(scope="module")
def proxied(
    webservers: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("proxied") / "gateway"
    with gateway(folder, webservers[""], **TRUSTED) as running:
        yield running


def test_what_the_proxy_says_of_the_browser_is_believed(proxied: Gateway) -> None:
    """Scheme, host and address; no TLS of the gateway's own, and no HSTS beside the proxy's."""
    page = ask(proxied.port, "/runs", PROXIED | PAGE, client=PROXY)
    assert (page.status, page.header("strict-transport-security")) == (200, [])
    answer = ask(proxied.port, "/graphql", PROXIED | OWN, MUTATION, client=PROXY)
    assert answer.status == 200, answer.body
    line = proxied.logged(mutation="reloadWorkspace")
    assert (line["client"], line["user"]) == (VISITOR, "alice")


def test_the_name_that_the_browser_asked_for(proxied: Gateway) -> None:
    """A proxy that replaces the Host header says it in X-Forwarded-Host."""
    headers = PROXIED | OWN | {"Host": "127.0.0.1:3000", "X-Forwarded-Host": HOST}
    assert ask(proxied.port, "/graphql", headers, QUERY, client=PROXY).status == 200
    foreign = headers | {"Origin": "https://evil.example"}
    assert ask(proxied.port, "/graphql", foreign, QUERY, client=PROXY).status == 403


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (f"198.51.100.1, {VISITOR}", VISITOR),
        (f"127.0.0.2, {VISITOR}, {OUTER_PROXY}", VISITOR),
        (f"198.51.100.1, {VISITOR}, {OUTER_PROXY}, {PROXY}, {OUTER_PROXY}", VISITOR),
        ("unknown, 2001:db8::7", "2001:db8::7"),
    ],
    ids=["forged", "forged-as-the-proxy", "four-proxies", "ipv6"],
)
def test_the_last_address_that_is_no_proxys_is_the_clients(
    proxied: Gateway, forwarded: str, client: str, request: pytest.FixtureRequest
) -> None:
    # No other request's: lines of earlier ones may come later.
    path = f"/{request.node.callspec.id}"
    ask(proxied.port, path, PROXIED | {"X-Forwarded-For": forwarded}, client=PROXY)
    assert proxied.logged(path=path)["client"] == client


def test_one_connection_of_the_proxy_serves_many_clients(proxied: Gateway) -> None:
    connection = HTTPConnection("127.0.0.1", proxied.port, source_address=(PROXY, 0))
    for client in ("203.0.113.21", "203.0.113.22"):
        connection.request("GET", "/server_info", headers=PROXIED | {"X-Forwarded-For": client})
        assert connection.getresponse().read()
        proxied.logged(client=client, status=200)
    connection.close()


def test_a_limit_is_of_one_client_and_not_of_the_proxy(
    webservers: dict[str, int], folder: Path
) -> None:
    with gateway(folder, webservers[""], **TRUSTED, WEB_RATE_LIMIT="5") as limited:

        def statuses(client: str, forged: str = "") -> list[int]:
            headers = PROXIED | {"X-Forwarded-For": f"{forged}{client}"}
            answers = [ask(limited.port, "/server_info", headers, client=PROXY) for _ in range(6)]
            return [answer.status for answer in answers]

        assert statuses("203.0.113.1") == [200] * 5 + [429]
        assert statuses("203.0.113.2") == [200] * 5 + [429]
        # A client that claims another address has its own limit all the same.
        assert statuses("203.0.113.1", forged="203.0.113.99, ") == [429] * 6


@pytest.mark.parametrize("claim", [{}, {"X-Forwarded-For": PROXY}], ids=["nothing", "the-proxy"])
def test_nobody_else_is_answered(proxied: Gateway, claim: dict[str, str]) -> None:
    answer = ask(proxied.port, "/runs", PROXIED | claim | PAGE, client=STRANGER)
    assert answer.status == 403
    assert answer.body.startswith("web gateway, rule proxy-address: ")
    for said in (
        STRANGER,
        "WEB_TRUSTED_PROXIES",
        "127.0.0.2 127.0.0.3/32",
        "docs/reverse-proxy.md",
    ):
        assert said in answer.body
    proxied.logged(rule="proxy-address", client=STRANGER)


@pytest.mark.parametrize(
    ("changed", "status", "rule", "said"),
    [
        ({"X-Forwarded-Proto": ""}, 400, "proxy-header", "X-Forwarded-Proto is ''"),
        ({"X-Forwarded-Proto": "http"}, 400, "proxy-header", "X-Forwarded-Proto is 'http'"),
        ({"X-Forwarded-For": "unknown"}, 400, "proxy-header", "X-Forwarded-For is 'unknown'"),
        ({"Host": "127.0.0.1:3000"}, 421, "host", "the host is 127.0.0.1; WEB_HOSTS is"),
        ({"Host": "other.example"}, 421, "host", "the host is other.example; WEB_HOSTS is"),
        ({"X-Forwarded-Host": "evil.example"}, 421, "host", "the host is evil.example"),
    ],
)
def test_a_page_says_what_is_set_wrongly(
    proxied: Gateway, changed: dict[str, str], status: int, rule: str, said: str
) -> None:
    answer = ask(proxied.port, "/runs", PROXIED | PAGE | changed, client=PROXY)
    assert (answer.status, answer.header("content-type")) == (status, ["text/plain"])
    assert answer.body.startswith(f"web gateway, rule {rule}: ")
    assert said in answer.body and "docs/reverse-proxy.md" in answer.body


def test_a_foreign_page_is_told_both_addresses(proxied: Gateway) -> None:
    headers = PROXIED | JSON | {"Origin": "https://evil.example"}
    answer = ask(proxied.port, "/graphql", headers, MUTATION, client=PROXY)
    assert answer.status == 403
    assert f"Origin is https://evil.example; this address is https://{HOST}" in answer.body


def test_a_websocket_whose_upgrade_is_lost(proxied: Gateway) -> None:
    """Proxies drop the header Upgrade unless told otherwise, and pass on the others."""
    headers = PROXIED | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": OWN["Origin"]}
    answer = ask(proxied.port, "/graphql", headers, client=PROXY)
    assert (answer.status, answer.header("upgrade")) == (426, ["websocket"])
    assert answer.body.startswith("web gateway, rule upgrade-lost: ")
    proxied.logged(rule="upgrade-lost")


@pytest.mark.parametrize(
    "claim",
    [{"X-Forwarded-Proto": "https"}, {"X-Forwarded-Host": HOST, "Host": "127.0.0.1:3000"}],
    ids=["scheme", "host"],
)
def test_a_proxy_that_no_setting_names(
    webservers: dict[str, int], folder: Path, claim: dict[str, str]
) -> None:
    with gateway(folder, webservers[""], WEB_HOSTS=HOST) as alone:
        answer = ask(alone.port, "/runs", {"Host": HOST, **PAGE, **claim}, client=STRANGER)
        assert answer.status == 403
        assert answer.body.startswith("web gateway, rule proxy-address: ")
        assert STRANGER in answer.body and "WEB_TRUSTED_PROXIES is ''" in answer.body
        # What agrees with the address is not a sign of a mistake, and is not trusted either.
        same = {"Host": HOST, "X-Forwarded-Proto": "http", "X-Forwarded-For": VISITOR}
        assert ask(alone.port, "/server_info", same, client=STRANGER).status == 200
        alone.logged(path="/server_info", client=STRANGER)


def test_the_host_before_the_container(webservers: dict[str, int], folder: Path) -> None:
    """`host` is the address by which programs of this machine come in: the default route's."""
    settings = TRUSTED | {"WEB_TRUSTED_PROXIES": "host"}
    with gateway(folder, webservers[""], **settings) as running:
        assert ask(running.port, "/runs", PROXIED, client="127.0.0.1").status == 200
        assert ask(running.port, "/runs", PROXIED, client=PROXY).status == 403


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"WEB_TRUSTED_PROXIES": "nginx"}, "WEB_TRUSTED_PROXIES names 'nginx'"),
        (
            {"WEB_TRUSTED_PROXIES": "10.0.0.1,10.0.0.2"},
            "WEB_TRUSTED_PROXIES names '10.0.0.1,10.0.0.2'",
        ),
        ({"WEB_TRUSTED_PROXIES": "10.0.0.0/33"}, "WEB_TRUSTED_PROXIES names '10.0.0.0/33'"),
        ({"WEB_TRUSTED_PROXIES": "10.0.0.300"}, "WEB_TRUSTED_PROXIES names '10.0.0.300'"),
        ({"WEB_TRUSTED_PROXIES": "0.0.0.0/0"}, "WEB_TRUSTED_PROXIES names '0.0.0.0/0'"),
        ({"WEB_TRUSTED_PROXIES": "::/0"}, "WEB_TRUSTED_PROXIES names '::/0'"),
        ({"WEB_TRUSTED_PROXIES": "10.0.0.1", "WEB_HOSTS": ""}, "WEB_HOSTS is empty"),
        ({"WEB_TRUSTED_PROXIES": "host", "WEB_BIND": "10.0.0.1"}, "WEB_BIND is '10.0.0.1'"),
        ({"WEB_PATH_PREFIX": "dagster"}, "WEB_PATH_PREFIX is 'dagster'"),
        ({"WEB_PATH_PREFIX": "/dagster/"}, "WEB_PATH_PREFIX is '/dagster/'"),
        ({"WEB_PATH_PREFIX": "/da gster"}, "WEB_PATH_PREFIX is '/da gster'"),
    ],
)
def test_settings_with_which_it_does_not_start(
    folder: Path, settings: dict[str, str], said: str
) -> None:
    told = refused(folder, **({"WEB_HOSTS": HOST} | settings))
    assert told.startswith("error: ") and said in told and "Fix: " in told


def test_no_proxy_without_a_login(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes by it is elsewhere, though the gateway listens on loopback."""
    monkeypatch.setattr("programs.keep_users", lambda *_: None)
    assert "it has no users" in refused(folder, **TRUSTED)
