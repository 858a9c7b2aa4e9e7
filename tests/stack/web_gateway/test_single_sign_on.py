"""Single sign-on: people log in at a provider, and only oauth2-proxy says who they are."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from browser import launch_watch_and_terminate, needs_browser, new_page
from harness import until
from single_sign_on import (
    EDITOR,
    GROUPED,
    PAGE,
    STRANGER,
    VIEWER,
    SingleSignOn,
    docker,
    log_in,
    oauth2_proxy,
    provider,
)
from web_gateway_requests import JSON, MUTATION, QUERY, REPORT
from web_gateways import Gateway, Upstream, in_secrets, web_gateway

ORIGIN = ("Origin", "https://{host}")


@pytest.fixture(scope="module")
def volumes(upstream: Upstream) -> Iterator[tuple[str, str]]:
    """Volumes of gateway and oauth2-proxy, with what a first start and `make sso-secret` make."""
    names = f"webgw-{uuid.uuid4().hex[:8]}", f"webgw-{uuid.uuid4().hex[:8]}"
    own, proxys = names
    place, made = "/secrets/web_gateway", ("control_plane.secrets", "--directory=/tmp/all")
    kept = ("control_plane.web_access", f"--directory={place}", "--owner=65532", "sso-secret")
    in_secrets(upstream, own, *made, f"--certificate={place}:99")
    in_secrets(upstream, proxys, *made, f"--share={place}:65532=sso_cookie_secret")
    in_secrets(upstream, proxys, *kept, stdin="planted-client-secret\n")
    try:
        yield names
    finally:
        docker("volume", "rm", "--force", *names)


@pytest.fixture(scope="module")
def sso() -> Iterator[SingleSignOn]:
    """A provider with people."""
    with provider() as sso:
        yield sso


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, volumes: tuple[str, str], sso: SingleSignOn) -> Iterator[Gateway]:
    """A gateway at which people log in by oauth2-proxy, which is up."""
    own, proxys = volumes
    inside = f"name={sso.network},alias=web-gateway-inside"
    with (
        oauth2_proxy(sso, proxys),
        web_gateway(upstream, own, [inside], **sso.settings) as gateway,
    ):

        def sends_to_log_in() -> None:
            assert gateway.ask("GET", "/runs", [PAGE]).status == 302

        until(sends_to_log_in, seconds=60)
        yield gateway


@pytest.fixture(scope="module")
def session(gateway: Gateway) -> Iterator[dict[str, tuple[str, str]]]:
    """Cookie headers of people who logged in."""
    yield {name: ("Cookie", log_in(gateway, name)[1]) for name in (EDITOR, GROUPED, VIEWER)}


CLAIMED = [
    ("X-Forwarded-Email", EDITOR),
    ("X-Forwarded-User", EDITOR),
    ("X-Forwarded-Groups", "data"),
    ("X-Auth-Request-Email", EDITOR),
    ("X-Web-Gateway-Client", "127.0.0.1"),
    ("Remote-User", EDITOR),
]


@pytest.mark.parametrize("claimed", [[], CLAIMED], ids=["nothing", "names"])
def test_nobody_comes_in_without_a_login(
    gateway: Gateway, sso: SingleSignOn, claimed: list[tuple[str, str]]
) -> None:
    page = gateway.ask("GET", "/runs", [PAGE, *claimed])
    assert page.status == 302
    assert page.headers["location"].startswith(sso.issuer)
    assert "code_challenge_method=S256" in page.headers["location"]
    before = len(gateway.logs())
    assert gateway.ask("POST", "/graphql", [JSON, *claimed], MUTATION).status == 401
    line = gateway.logged(before, status=401)
    assert not line["user"]


def test_editors_may_do_all(gateway: Gateway, session: dict[str, tuple[str, str]]) -> None:
    """Named by address, whatever its letters' case, or by a group."""
    for name in (EDITOR, GROUPED):
        before = len(gateway.logs())
        answer = gateway.ask("POST", "/graphql", [JSON, ORIGIN, session[name]], MUTATION)
        assert answer.status == 200, answer.body
        line = gateway.logged(before, user=name, mutation="reloadWorkspace")
        # Who asked, and not who passed it on; and one line for one request.
        assert line["client"] != "127.0.0.1"
        lines = gateway.logs()[before:]
        assert [each.get("mutation") for each in lines].count("reloadWorkspace") == 1
        assert answer.headers["content-security-policy"]
        assert "x-web-gateway" not in answer.headers
        assert gateway.ask("POST", REPORT, [session[name]]).status == 200


def test_others_only_look(gateway: Gateway, session: dict[str, tuple[str, str]]) -> None:
    """A claim to a group beside a session of one's own changes nothing."""
    assert gateway.ask("POST", "/graphql", [JSON, session[VIEWER]], QUERY).status == 200
    before = len(gateway.logs())
    headers = [JSON, session[VIEWER], *CLAIMED]
    answer = gateway.ask("POST", "/graphql", headers, MUTATION)
    assert answer.status == 403 and "rule role" in answer.body
    gateway.logged(before, rule="role", user=VIEWER, mutation="reloadWorkspace", status=403)
    assert gateway.ask("POST", REPORT, [session[VIEWER]]).status == 403


def test_a_session_is_no_way_around_the_rules(
    gateway: Gateway, session: dict[str, tuple[str, str]]
) -> None:
    before = len(gateway.logs())
    headers = [JSON, session[EDITOR], ("Origin", "https://evil.example")]
    assert gateway.ask("POST", "/graphql", headers, MUTATION).status == 403
    gateway.logged(before, rule="origin", status=403)


def test_who_may_not_log_in_sees_nothing(gateway: Gateway) -> None:
    """An address that begins like one of the domain."""
    page, cookies = log_in(gateway, STRANGER)
    assert page.status_code in (401, 403)
    assert "dagster" not in page.text.lower()
    headers = [JSON, *([("Cookie", cookies)] if cookies else [])]
    assert gateway.ask("POST", "/graphql", headers, QUERY).status in (401, 403)


def test_names_are_believed_in_one_network_alone(
    gateway: Gateway, upstream: Upstream, sso: SingleSignOn
) -> None:
    """The inner address answers oauth2-proxy's network, and none of those who know no login."""
    probe = "import sys, socket; socket.create_connection((sys.argv[1], 8082), 5)"
    python = ["--rm", "--entrypoint=python", upstream.secrets, "-c", probe, gateway.container]
    docker("run", f"--network={sso.network}", *python)
    refused = subprocess.run(
        ["docker", "run", f"--network={upstream.network}", *python], capture_output=True, text=True
    )
    assert "ConnectionRefusedError" in refused.stderr


def test_what_names_nobody_is_refused_there(
    gateway: Gateway, upstream: Upstream, sso: SingleSignOn
) -> None:
    before = len(gateway.logs())
    ask = (
        "import http.client, sys; c = http.client.HTTPConnection(sys.argv[1], 8082); "
        "c.request('GET', '/runs', headers={'Host': 'localhost'}); print(c.getresponse().status)"
    )
    python = ["--rm", "--entrypoint=python", upstream.secrets, "-c", ask, gateway.container]
    assert docker("run", f"--network={sso.network}", *python) == "401"
    gateway.logged(before, rule="identity", status=401)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "nobody may change anything"),
        ({"SSO_EDITORS": "-f"}, "SSO_EDITORS names '-f'"),
        ({"SSO_EDITOR_GROUPS": 'a"b'}, "SSO_EDITOR_GROUPS names 'a\"b'"),
    ],
)
def test_no_start_without_editors(upstream: Upstream, settings: dict[str, str], said: str) -> None:
    given = {"SSO_ISSUER": "https://login.example.com"} | settings
    started = subprocess.run(
        ["docker", "run", "--rm", *(f"--env={k}={v}" for k, v in given.items()), upstream.image],
        capture_output=True,
        text=True,
    )
    assert started.returncode != 0
    assert started.stderr.startswith("error: ") and said in started.stderr


@pytest.mark.long
def test_under_a_path_prefix(
    upstream: Upstream, volumes: tuple[str, str], sso: SingleSignOn, gateway: Gateway
) -> None:
    """From the login back to the page; the session's cookie is for that path alone."""
    own, proxys = volumes
    inside = f"name={sso.network},alias=web-gateway-inside-too"
    prefixed = replace(sso, settings=sso.settings | {"WEB_PATH_PREFIX": "/dagster"})
    settings = prefixed.settings | {"SSO_ADDRESS": "sso-too:4180"}
    settings["WEB_INSIDE_ADDRESS"] = "web-gateway-inside-too:8082"
    with (
        web_gateway(upstream, own, [inside], **settings) as here,
        oauth2_proxy(prefixed, proxys, "-too"),
    ):

        def sends_to_log_in() -> None:
            page = here.ask("GET", "/dagster/runs", [PAGE])
            assert (
                page.status == 302 and "%2Fdagster%2Foauth2%2Fcallback" in page.headers["location"]
            )

        until(sends_to_log_in, seconds=60)
        page, cookies = log_in(here, EDITOR, "/dagster")
        assert (page.status_code, page.url.path) == (200, "/dagster/runs")
        assert cookies.startswith("__Secure-dagster_sso") and "__Host-" not in cookies
        here.logged(0, user=EDITOR, path="/dagster/runs", status=200)


@needs_browser
@pytest.mark.long
def test_in_a_browser(gateway: Gateway, location: str, artifacts: Path) -> None:
    """From the login to a run that is watched."""
    with new_page() as page:
        page.goto(f"https://{gateway.host}/locations/{location}/jobs/hanging_job/playground")
        page.get_by_role("button", name=EDITOR, exact=True).click()
        run = launch_watch_and_terminate(page, artifacts / "ui-single-sign-on.png")
        gateway.logged(0, mutation="launchPipelineExecution", user=EDITOR, run=run)
        gateway.logged(0, mutation="terminateRuns", user=EDITOR)
