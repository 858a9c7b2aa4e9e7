"""What people and their programs do passes: the counterparts of the attacks."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from web_gateway_requests import CROSS, JSON, OWN, PAGE, QUERY, REPORT, Headers
from web_gateways import Gateway

ORIGIN = ("Origin", "http://{host}")
VERSION = '{"data":{"version":'


@pytest.mark.parametrize(
    "headers",
    [
        [JSON],
        [JSON, ORIGIN],
        [JSON, ORIGIN, OWN, ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")],
        [JSON, OWN],
        [JSON, ("Sec-Fetch-Site", "none")],
        [("Content-Type", "application/json; charset=utf-8")],
        [("content-type", "application/json;charset=UTF-8")],
    ],
    ids=["program", "page", "page-with-metadata", "metadata", "person", "charset", "spelling"],
)
def test_a_query(gateway: Gateway, headers: Headers) -> None:
    answer = gateway.ask("POST", "/graphql?op=Version", headers, QUERY)
    assert answer.status == 200
    assert answer.body.startswith(VERSION)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "dagster.example.com"])
@pytest.mark.parametrize("port", ["", ":3000"])
def test_a_name_of_the_stack(gateway: Gateway, name: str, port: str) -> None:
    headers = [("Host", name + port), ("Origin", f"http://{name}{port}"), JSON]
    assert gateway.ask("POST", "/graphql", headers, QUERY).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/runs?q%5B0%5D=status%3ASUCCESS",
        "/assets/a%2Fb%20c/d.e~f_g-h?view=lineage",
        "/locations/__repository__%40elt/jobs/x",
        "/asset-groups/%E2%82%AC",
        "/graphql-is-not-this?query=1",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page(gateway: Gateway, method: str, target: str) -> None:
    assert gateway.ask(method, target, [OWN]).status == 200


@pytest.mark.parametrize("target", ["/", "/runs", "/graphql"])
def test_a_link_on_another_site(gateway: Gateway, target: str) -> None:
    headers = [CROSS, *PAGE, ("Accept", "text/html")]
    assert gateway.ask("GET", target, headers).status == 200


def test_graphiql(gateway: Gateway) -> None:
    answer = gateway.ask("GET", "/graphql", [("Accept", "text/html")])
    assert answer.status == 200
    assert "<title>GraphiQL</title>" in answer.body


def test_an_unknown_path_is_the_webservers_to_answer(gateway: Gateway) -> None:
    answer = gateway.ask("GET", "/%2567raphql?query=1")
    assert answer.status == 200
    assert "GraphiQL" not in answer.body


@pytest.mark.parametrize(
    ("headers", "body"),
    [([], None), ([], ""), ([JSON], '{"description": "seen"}'), ([JSON, OWN, ORIGIN], "{}")],
    ids=["no-body", "empty-body", "json", "page"],
)
def test_a_report(gateway: Gateway, headers: Headers, body: str | None) -> None:
    answer = gateway.ask("POST", REPORT, headers, body)
    assert answer.status == 200, answer.body


def test_a_body_as_large_as_allowed(gateway: Gateway) -> None:
    body = json.dumps({"query": "{ version }", "variables": {"filler": ""}})
    body = body.replace('"filler": "', '"filler": "' + "x" * (100_000 - len(body)))
    answer = gateway.ask("POST", "/graphql", [JSON], body)
    assert answer.status == 200
    assert answer.body.startswith(VERSION)


def test_what_is_folded_or_ends_in_bare_line_feeds_reaches_the_webserver_in_one_form(
    gateway: Gateway,
) -> None:
    """HAProxy rewrites each request, so there is nothing to read in two ways."""
    # By a name of its own: lines of earlier requests may come late, and their time is HAProxy's.
    operation = f"Folded{uuid4().hex}"
    body = json.dumps({"operationName": operation, "query": f"query {operation} {{ version }}"})
    head = "POST /graphql HTTP/1.1\nHost: localhost\nX: a\n b\nContent-Type: application/json\n"
    answer = gateway.send(f"{head}Content-Length: {len(body)}\n\n{body}".encode())
    assert answer.body.startswith(VERSION)
    gateway.logged(0, method="POST", status=200, operation=operation)
    assert [line.get("operation") for line in gateway.logs()].count(operation) == 1


@pytest.mark.parametrize("origin", ["http://{host}", None], ids=["page", "program"])
def test_a_subscription(gateway: Gateway, origin: str | None) -> None:
    gateway.subscribe(origin.replace("{host}", gateway.host) if origin else None).close()


def test_no_way_leads_to_another_protocol(gateway: Gateway) -> None:
    answer = gateway.ask("GET", "/server_info", [("Upgrade", "h2c"), ("Connection", "Upgrade")])
    assert answer.status == 200


def test_browsers_are_told_what_to_forbid(gateway: Gateway) -> None:
    for target in ("/", "/graphql", "/server_info", "/x/../y"):
        headers = gateway.ask("GET", target, [("Accept", "text/html")]).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], target
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert "server" not in headers
        assert "strict-transport-security" not in headers
        assert not [name for name in headers if name.startswith("access-control")]
    notebook = gateway.ask("GET", "/notebook?path=x&repoLocName=y").headers
    assert notebook["content-security-policy"].startswith("sandbox allow-scripts; ")
