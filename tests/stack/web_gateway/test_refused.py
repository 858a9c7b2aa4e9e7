"""Attacks: each is refused by the rule that is meant for it, and logged under its name."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from web_gateway_requests import (
    CROSS,
    FOREIGN,
    GET_MUTATION,
    JSON,
    MUTATION,
    OWN,
    PAGE,
    REPORT,
    SOCKET,
    WEBSOCKET,
    Headers,
)
from web_gateways import Gateway

CHUNKED = ("Transfer-Encoding", "chunked")


@dataclass
class Attack:
    """A request, and how it ends."""

    name: str
    rule: str
    status: int
    method: str
    target: str
    headers: Headers = field(default_factory=list)
    body: str | None = None


def get(name: str, rule: str, status: int, target: str, *headers: tuple[str, str]) -> Attack:
    """An attack by GET."""
    return Attack(name, rule, status, "GET", target, list(headers))


def post(
    name: str,
    rule: str,
    status: int,
    target: str,
    *headers: tuple[str, str],
    body: str | None = MUTATION,
) -> Attack:
    """An attack by POST."""
    return Attack(name, rule, status, "POST", target, list(headers), body)


CROSS_SITE = [
    post("fetch-no-cors-text", "origin", 403, "/graphql", FOREIGN, ("Content-Type", "text/plain")),
    post("fetch-json", "origin", 403, "/graphql", FOREIGN, JSON),
    post("fetch-json-cross-site", "cross-site", 403, "/graphql", CROSS, JSON),
    post("same-site-port", "origin", 403, "/graphql", ("Origin", "http://localhost:1"), JSON),
    post("same-site", "cross-site", 403, "/graphql", ("Sec-Fetch-Site", "same-site"), JSON),
    post("other-scheme", "origin", 403, "/graphql", ("Origin", "https://{host}"), JSON),
    post("null-origin", "origin", 403, "/graphql", ("Origin", "null"), JSON),
    post("empty-origin", "origin", 403, "/graphql", ("Origin", ""), JSON),
    post("prefix-origin", "origin", 403, "/graphql", ("Origin", "http://{host}.evil"), JSON),
    post("user-origin", "origin", 403, "/graphql", ("Origin", "http://{host}@evil"), JSON),
    post("two-origins", "duplicate", 400, "/graphql", ("Origin", "http://{host}"), FOREIGN, JSON),
    post("two-sites", "duplicate", 400, "/graphql", OWN, CROSS, JSON),
    post("navigated-form", "cross-site", 403, "/graphql", CROSS, *PAGE, JSON),
    post(
        *("form", "content-type", 415, "/graphql"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        body="query=mutation{reloadWorkspace{__typename}}",
    ),
    post("report-cross-site", "cross-site", 403, REPORT, CROSS, body=None),
    post("report-foreign", "origin", 403, REPORT, FOREIGN, body=""),
    post(
        *("report-form", "content-type", 415, REPORT),
        ("Content-Type", "application/x-www-form-urlencoded"),
        body="a=b",
    ),
    post("report-untyped", "content-type", 415, REPORT, body="a=b"),
    get("read-cross-site", "cross-site", 403, "/", CROSS, ("Sec-Fetch-Mode", "cors")),
    get("read-foreign", "origin", 403, "/server_info", FOREIGN),
    get("image", "cross-site", 403, "/favicon.png", CROSS, ("Sec-Fetch-Dest", "image")),
    get("script", "cross-site", 403, "/_next/x.js", CROSS, ("Sec-Fetch-Dest", "script")),
    get(
        *("frame", "cross-site", 403, "/"),
        *(CROSS, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")),
    ),
    get("preflight-get", "cross-site", 403, "/graphql", CROSS, ("Sec-Fetch-Mode", "cors")),
    Attack("preflight", "method", 405, "OPTIONS", "/graphql", [FOREIGN, CROSS]),
]

BY_GET = [
    get("mutation-by-get", "graphql-get", 405, GET_MUTATION),
    get("mutation-by-image", "graphql-get", 405, GET_MUTATION, ("Accept", "image/*")),
    get("mutation-by-link", "graphql-get", 405, GET_MUTATION, CROSS, *PAGE),
    get("prefilled-graphiql", "graphql-get", 405, "/graphql?query=x", ("Accept", "text/html")),
    Attack("mutation-by-head", "graphql-get", 405, "HEAD", GET_MUTATION),
    get("upper-case", "graphql-get", 405, "/GraphQL?query=1"),
    get("trailing-slash", "graphql-get", 405, "/graphql/?query=1"),
    get("escaped-letter", "path", 400, "/%67raphql?query=1"),
    get("escaped-letters", "path", 400, "/gr%61ph%71l?query=1"),
    get("doubled-slash", "path", 400, "//graphql?query=1"),
    get("dot-segment", "path", 400, "/./graphql?query=1"),
    get("dot-dot-segment", "path", 400, "/x/../graphql?query=1"),
    get("escaped-dots", "path", 400, "/x/%2e%2E/graphql?query=1"),
    get("escaped-slashes", "path", 400, "/logs/..%2f..%2fetc/passwd"),
    get("escaped-doubled-slash", "path", 400, "/%2Fgraphql?query=1"),
    get("backslash", "path", 400, "/x\\..\\graphql"),
    get("escaped-backslash", "path", 400, "/x%5c..%5Cgraphql"),
    get("escaped-nul", "path", 400, "/graphql%00?query=1"),
    get("escaped-line-feed", "path", 400, "/graphql%0a?query=1"),
    get("whole-address", "target", 400, "http://{host}/graphql?query=1"),
    get("body-on-get", "body", 400, "/graphql", JSON, ("Content-Length", "2")),
    get("chunked-get", "body", 400, "/", CHUNKED),
]

FORMS = [
    post("no-type", "content-type", 415, "/graphql"),
    post("graphql-type", "content-type", 415, "/graphql", ("Content-Type", "application/graphql")),
    post(
        *("hidden-type", "content-type", 415, "/graphql"),
        ("Content-Type", "text/plain; x=application/json"),
    ),
    post(*("two-types", "duplicate", 400, "/graphql"), *(JSON, ("Content-Type", "text/plain"))),
    post(
        "listed-types", "content-type", 415, "/graphql", ("Content-Type", "application/json, a/b")
    ),
    post("query-beside-body", "graphql-query", 400, "/graphql?query=mutation", JSON),
    post("upper-case-post", "post-path", 405, "/GRAPHQL", JSON),
    post("slash-post", "post-path", 405, "/graphql/", JSON),
    post("other-post", "post-path", 405, "/runs", JSON),
    post("chunked", "length", 411, "/graphql", JSON, CHUNKED, body="2\r\n{}\r\n0\r\n\r\n"),
    post("oversize", "size", 413, "/graphql", JSON, ("Content-Length", "100001"), body=None),
    post("override", "method-override", 400, "/graphql", JSON, ("X-HTTP-Method-Override", "PUT")),
    get("get-to-post", "method-override", 400, "/graphql", ("X-HTTP-Method", "POST")),
    get("method-override", "method-override", 400, "/", ("X-Method-Override", "DELETE")),
    Attack("put", "method", 405, "PUT", "/graphql", [JSON], MUTATION),
    Attack("delete", "method", 405, "DELETE", "/runs"),
    Attack("trace", "method", 405, "TRACE", "/"),
    get("big-header", "header-size", 431, "/", ("X-Big", "a" * 17_000)),
    get("long-address", "header-size", 431, "/" + "a" * 8_192),
    get("underscore", "header-name", 400, "/", ("Sec_Fetch_Site", "same-origin")),
]

HOSTS = [
    get("rebound-host", "host", 421, "/", ("Host", "evil.example")),
    get("rebound-host-port", "host", 421, "/graphql", ("Host", "evil.example:3000")),
    get("host-suffix", "host", 421, "/", ("Host", "localhost.evil.example")),
    get("host-prefix", "host", 421, "/", ("Host", "evil-localhost")),
    get("host-with-dot", "host", 421, "/", ("Host", "localhost.")),
    get("other-loopback", "host", 421, "/", ("Host", "127.0.0.2")),
    get("empty-host", "host", 421, "/", ("Host", "")),
    post("rebound-post", "host", 421, "/graphql", ("Host", "a.b"), ("Origin", "http://a.b"), JSON),
    get("rebound-socket", "host", 421, "/graphql", ("Host", "evil.example"), *WEBSOCKET),
]

UPGRADES = [
    get("socket-foreign", "origin", 403, "/graphql", FOREIGN, *WEBSOCKET),
    get("socket-null", "origin", 403, "/graphql", ("Origin", "null"), *WEBSOCKET),
    get("socket-port", "origin", 403, "/graphql", ("Origin", "http://localhost:1"), *WEBSOCKET),
    get("socket-cross-site", "cross-site", 403, "/graphql", CROSS, *WEBSOCKET),
    get("socket-elsewhere", "upgrade", 400, "/runs", *WEBSOCKET),
    get("socket-slash", "upgrade", 400, "/graphql/", *WEBSOCKET),
    get("socket-query", "graphql-get", 405, "/graphql?query=1", *WEBSOCKET),
    get("other-upgrade", "upgrade", 400, "/graphql", ("Upgrade", "x"), *SOCKET),
    get("listed-upgrade", "upgrade", 400, "/graphql", ("Upgrade", "websocket, x"), *SOCKET),
    get("two-upgrades", "duplicate", 400, "/graphql", ("Upgrade", "x"), *WEBSOCKET),
    post("socket-by-post", "upgrade", 400, "/graphql", *WEBSOCKET, JSON),
]

ATTACKS = [*CROSS_SITE, *BY_GET, *FORMS, *HOSTS, *UPGRADES]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: str(attack.name))
def test_refused_with_a_reason(gateway: Gateway, attack: Attack) -> None:
    before = len(gateway.logs())
    target = attack.target.replace("{host}", gateway.host)
    answer = gateway.ask(attack.method, target, attack.headers, attack.body)
    assert (answer.status, attack.rule) == (attack.status, attack.rule), answer.body
    if attack.method != "HEAD":
        assert answer.body.startswith(f"web gateway, rule {attack.rule}: ")
    line = gateway.logged(before, rule=attack.rule, status=attack.status)
    assert line["method"] == attack.method
    assert "?" not in line["path"]


HOST = b"Host: localhost\r\n"
TYPE = b"Content-Type: application/json\r\n"
SECOND = b"GET /server_info HTTP/1.1\r\nHost: localhost\r\n\r\n"

# No request in HTTP's sense: HAProxy answers before any rule is asked.
MALFORMED = {
    "two-lengths": b"POST /graphql HTTP/1.1\r\n"
    + HOST
    + TYPE
    + b"Content-Length: 2\r\nContent-Length: 60\r\n\r\n{}"
    + SECOND,
    "listed-lengths": b"POST /graphql HTTP/1.1\r\n"
    + HOST
    + TYPE
    + b"Content-Length: 2, 60\r\n\r\n{}"
    + SECOND,
    "signed-length": b"POST /graphql HTTP/1.1\r\n" + HOST + TYPE + b"Content-Length: +2\r\n\r\n{}",
    "hex-length": b"POST /graphql HTTP/1.1\r\n" + HOST + TYPE + b"Content-Length: 0x2\r\n\r\n{}",
    "space-before-colon": b"POST /graphql HTTP/1.1\r\n"
    + HOST
    + TYPE
    + b"Content-Length : 2\r\n\r\n{}",
    "unknown-coding": b"POST /graphql HTTP/1.1\r\n"
    + HOST
    + TYPE
    + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "host-with-user": b"GET / HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n",
    "two-hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "address-unlike-host": b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "carriage-return-alone": b"GET / HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n",
    "nul-in-path": b"GET /\x00graphql HTTP/1.1\r\n" + HOST + b"\r\n",
    "nul-in-header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "fragment": b"GET /#/../graphql HTTP/1.1\r\n" + HOST + b"\r\n",
    "raw-bytes-in-path": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "many-headers": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 200 + b"\r\n",
    "no-version": b"GET /graphql?query=1\r\n\r\n",
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 20,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_http_is_refused(gateway: Gateway, name: str) -> None:
    before = len(gateway.logs())
    assert gateway.send(MALFORMED[name]).status == 400
    gateway.logged(before, rule="no-request", status=400)


@pytest.mark.parametrize(
    ("head", "rule"),
    [
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "length"),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "length"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "duplicate"),
    ],
)
def test_two_ways_to_end_a_body(gateway: Gateway, head: bytes, rule: str) -> None:
    before = len(gateway.logs())
    answer = gateway.send(b"POST /graphql HTTP/1.1\r\n" + HOST + TYPE + head + SECOND)
    assert answer.status in {400, 411}
    line = gateway.logged(before, method="POST") if rule == "length" else gateway.logged(before)
    assert line["rule"] in {rule, "no-request"}
    # What comes after it is not a second request.
    assert "/server_info" not in [line.get("path") for line in gateway.logs()[before:]]


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        ("no-request", b"GET / HTTP/1.1\r\nHost: loca"),
        ("slow", b"POST /graphql HTTP/1.1\r\n" + HOST + TYPE + b"Content-Length: 50\r\n\r\n{"),
    ],
    ids=["slow-header", "slow-body"],
)
def test_what_does_not_arrive_in_time(gateway: Gateway, rule: str, data: bytes) -> None:
    before = len(gateway.logs())
    assert gateway.send(data).status == 408
    gateway.logged(before, rule=rule, status=408)


def test_a_mutation_over_a_websocket_is_not_run(gateway: Gateway) -> None:
    """Dagster takes subscriptions there; the gateway does not look into a WebSocket."""
    with gateway.subscribe(f"http://{gateway.host}") as websocket:
        start = {"id": "1", "type": "start", "payload": json.loads(MUTATION)}
        websocket.send(json.dumps(start))
        assert json.loads(websocket.recv(30))["type"] == "error"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_json_in_another_encoding(gateway: Gateway, encoding: str) -> None:
    """Python would read it, and the gateway would not see what it says."""
    before = len(gateway.logs())
    body = MUTATION.encode(encoding)
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    answer = gateway.send(b"POST /graphql HTTP/1.1\r\n" + HOST + TYPE + length + body)
    assert answer.status == 415
    gateway.logged(before, rule="encoding", status=415)
