"""oauth2-proxy as the compose file starts it, and a provider at which people log in."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from oidc_provider_mock import User, app
from werkzeug.serving import make_server

from web_gateways import Gateway

# By it a browser is told from a program.
PAGE = ("Accept", "text/html")
REPOSITORY = Path(__file__).parents[2]
EDITOR, GROUPED, VIEWER, STRANGER = (
    *("ed@example.com", "gr@example.com", "vi@example.com"),
    "ed@example.com.evil.example",
)
PEOPLE = {EDITOR: ["staff"], GROUPED: ["staff", "data"], VIEWER: ["staff"], STRANGER: ["data"]}


@dataclass
class SingleSignOn:
    """A provider, the network of oauth2-proxy and the gateway, and the settings of both."""

    network: str
    issuer: str
    settings: dict[str, str]


@contextmanager
def provider() -> Iterator[SingleSignOn]:
    """A provider on this machine that containers of a network of its own, and browsers, reach."""
    network = f"webgw-{uuid.uuid4().hex[:8]}"
    docker("network", "create", network)
    try:
        address = docker(
            *("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)
        )
        people = [
            User(sub=name, claims={"email": name, "email_verified": True, "groups": groups})
            for name, groups in PEOPLE.items()
        ]
        # The provider's library refuses plain HTTP otherwise, and there is no other network here.
        os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
        server = make_server(address, 0, app(user_claims=people, require_nonce=True), threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            issuer = f"http://{address}:{server.server_port}"
            settings = {
                "SSO_ISSUER": issuer,
                "SSO_EDITORS": EDITOR.upper(),
                "SSO_EDITOR_GROUPS": "data ops",
            }
            yield SingleSignOn(network, issuer, settings)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
    finally:
        docker("network", "rm", network)


@contextmanager
def oauth2_proxy(sso: SingleSignOn, volume: str, suffix: str = "") -> Iterator[str]:
    """oauth2-proxy with what the compose file tells it; yields the container's name.

    ``suffix`` ends its own host name, and its gateway's, beside those of another one.
    """
    asked = sso.settings | {"SSO_CLIENT_ID": "dagster", "SSO_EMAIL_DOMAINS": "example.com"}
    service = composed("sso", asked)
    environment = service["environment"]
    environment["OAUTH2_PROXY_UPSTREAMS"] = f"http://web-gateway-inside{suffix}:8082/"
    name = f"webgw-{uuid.uuid4().hex[:8]}"
    docker(
        *("run", "--detach", "--name", name, "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"),
        *("--user", service["user"], "--volume", f"{volume}:/run/secrets:ro"),
        *("--network", f"name={sso.network},alias=sso{suffix}"),
        # What has no value is not given, as Compose does it.
        *(f"--env={key}={value}" for key, value in environment.items() if value is not None),
        service["image"],
    )
    try:
        yield name
    finally:
        docker("rm", "--force", name)


def composed(service: str, settings: dict[str, str]) -> Any:
    """A service as Compose reads it with these settings."""
    shown = subprocess.run(
        ["docker", "compose", "--profile=*", "config", "--format=json"],
        cwd=REPOSITORY,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(shown.stdout)["services"][service]


def log_in(gateway: Gateway, name: str, prefix: str = "") -> tuple[httpx.Response, str]:
    """What a browser gets that asked for the runs and logged in, and its cookies."""
    with httpx.Client(verify=False, follow_redirects=True, timeout=60) as browser:
        browser.headers["Accept"] = PAGE[1]
        form = browser.get(f"https://{gateway.host}{prefix}/runs")
        page = browser.post(form.url, data={"sub": name})
        cookies = [cookie for cookie in browser.cookies.jar if cookie.domain.startswith("localh")]
        return page, "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)


def docker(*arguments: str) -> str:
    """What a docker command says."""
    said = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return said.stdout.strip()
