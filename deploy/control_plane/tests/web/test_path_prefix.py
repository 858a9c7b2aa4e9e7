"""Dagster under WEB_PATH_PREFIX: the rules hold there, and a wrong prefix is explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import dagster_webserver
import pytest
from programs import JSON, LOGIN, PAGE, RULES, Gateway, ask, gateway

QUERY = json.dumps({"query": "{ version }"})
MUTATION = json.dumps({"query": "mutation { reloadWorkspace { __typename } }"})
HERE = {"Host": "localhost:3000"}


@pytest.fixture(scope="module")
def prefixed(
    webservers: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("prefixed") / "gateway"
    with gateway(folder, webservers["/dagster"], WEB_PATH_PREFIX="/dagster") as running:
        yield running


def test_page_and_scripts_and_graphql(prefixed: Gateway) -> None:
    page = ask(prefixed.port, "/dagster/runs", HERE | PAGE)
    assert page.status == 200
    scripts = re.findall(r'<script[^>]* src="([^"]+)"', page.body)
    assert scripts and all(script.startswith("/dagster/") for script in scripts)
    assert ask(prefixed.port, scripts[0], HERE).status == 200
    answer = ask(prefixed.port, "/dagster/graphql?op=Q", HERE | JSON, QUERY)
    assert answer.status == 200, answer
    assert "version" in json.loads(answer.body)["data"]
    assert ask(prefixed.port, "/dagster/graphql", HERE | JSON, MUTATION).status == 200
    line = prefixed.logged(mutation="reloadWorkspace")
    assert line["path"] == "/dagster/graphql"


def test_without_the_last_slash(prefixed: Gateway) -> None:
    """Dagster would send the browser to a plain http address."""
    answer = ask(prefixed.port, "/dagster", HERE | PAGE)
    assert (answer.status, answer.header("location")) == (308, ["/dagster/"])
    assert ask(prefixed.port, "/dagster", HERE | {"Host": "evil.example"}).status == 421


@pytest.mark.parametrize(
    ("path", "headers", "body", "rule"),
    [
        ("/dagster/graphql?query=mutation%7Ba%7D", {}, None, "graphql-get"),
        ("/dagster/graphql", {"Content-Type": "text/plain"}, MUTATION, "content-type"),
        ("/dagster/graphql", JSON | {"Origin": "https://evil.example"}, MUTATION, "origin"),
        ("/dagster/other", JSON, MUTATION, "post-path"),
        ("/dagster//graphql", JSON, MUTATION, "path"),
        ("/dagster/../graphql", JSON, MUTATION, "path"),
    ],
)
def test_the_rules_hold(
    prefixed: Gateway, path: str, headers: dict[str, str], body: str | None, rule: str
) -> None:
    answer = ask(prefixed.port, path, HERE | headers, body)
    assert answer.body.startswith(f"web gateway, rule {rule}: ")


@pytest.mark.parametrize("path", ["/", "/runs", "/graphql", "/dagsters", "/dagsters/runs"])
def test_a_proxy_that_takes_the_prefix_away(prefixed: Gateway, path: str) -> None:
    answer = ask(prefixed.port, path, HERE | PAGE)
    assert (answer.status, answer.header("content-type")) == (404, ["text/plain"])
    assert answer.body.startswith("web gateway, rule prefix-lost: ")
    assert f"the path is {path}; WEB_PATH_PREFIX is '/dagster'" in answer.body


@pytest.fixture(scope="module")
def rooted(
    webservers: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("rooted") / "gateway", webservers[""]) as running:
        yield running


@pytest.mark.parametrize("path", ["/dagster/", "/dagster", "/data"])
def test_a_proxy_with_a_prefix_that_no_setting_names(rooted: Gateway, path: str) -> None:
    """Dagster would send its page, whose scripts are elsewhere."""
    answer = ask(rooted.port, path, HERE | PAGE)
    assert (answer.status, answer.header("content-type")) == (404, ["text/plain"])
    assert answer.body.startswith("web gateway, rule prefix: ")
    assert f"the path is {path}; WEB_PATH_PREFIX is ''" in answer.body


def test_every_page_of_the_user_interface_is_known(rooted: Gateway) -> None:
    """Of the installed release; a page that is not would be refused."""
    build = Path(dagster_webserver.__file__).parent / "webapp/build/_next"
    text = "".join(file.read_text(errors="replace") for file in build.rglob("*.js"))
    pages = set(re.findall(r'(?:path|to|href):\[?[`"](/[A-Za-z0-9-]+)', text))
    assert {"/runs", "/overview", "/locations", "/assets"} <= pages
    known = re.search(r"acl known_path .*'(.*)'", (RULES / "haproxy.cfg").read_text())
    assert known
    assert not {page for page in pages if not re.search(known[1], page)}
    assert ask(rooted.port, "/runs", HERE | PAGE).status == 200


def test_behind_a_proxy(webservers: dict[str, int], folder: Path) -> None:
    settings = {"WEB_PATH_PREFIX": "/dagster", "WEB_TRUSTED_PROXIES": "127.0.0.2"}
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", **LOGIN, **PAGE}
    headers["Host"] = "data.example.com"
    with gateway(folder, webservers["/dagster"], WEB_HOSTS="data.example.com", **settings) as both:
        assert ask(both.port, "/dagster/runs", headers, client="127.0.0.2").status == 200
        lost = ask(both.port, "/runs", headers, client="127.0.0.2")
        assert (lost.status, "rule prefix-lost" in lost.body) == (404, True)
