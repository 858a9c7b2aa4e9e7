"""Where `make up` says that the UI is, and what the path prefix changes in the compose file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stackctl.docker import COMPOSE_FILE, ROOT

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker command")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that are read, without a .env."""
    scripts = tmp_path / "deploy" / "stackctl"
    scripts.mkdir(parents=True)
    shutil.copy(ROOT / "deploy/stackctl/common.sh", scripts)
    (scripts.parent / "tools").symlink_to(ROOT / "deploy/tools")
    shutil.copy(ROOT / COMPOSE_FILE, tmp_path)
    return tmp_path


def run(checkout: Path, *command: str, **settings: str) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command, cwd=checkout, env=kept | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def url(checkout: Path, **settings: str) -> str:
    return run(checkout, "bash", "-c", "source deploy/stackctl/common.sh; url", **settings)


def services(checkout: Path, **settings: str) -> dict[str, Any]:
    command = ("docker", "compose", "--profile=*", "config", "--format=json")
    found: dict[str, Any] = json.loads(run(checkout, *command, **settings))["services"]
    return found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "http://localhost:3000"),
        ({"WEB_PATH_PREFIX": "/dagster"}, "http://localhost:3000/dagster"),
        ({"WEB_BIND": "10.0.0.1", "WEB_PATH_PREFIX": "/d"}, "https://10.0.0.1:3000/d"),
        (
            {"WEB_TRUSTED_PROXIES": "host 10.0.0.1", "WEB_HOSTS": "a.example b.example"},
            "https://a.example",
        ),
        (
            {"WEB_TRUSTED_PROXIES": "host", "WEB_HOSTS": "a.example", "WEB_PATH_PREFIX": "/d"},
            "https://a.example/d",
        ),
    ],
)
def test_the_address_that_people_open(
    checkout: Path, settings: dict[str, str], expected: str
) -> None:
    assert url(checkout, **settings) == expected


def test_every_service_knows_the_prefix(checkout: Path) -> None:
    found = services(checkout, WEB_PATH_PREFIX="/dagster")
    for name in ("webserver", "webserver_viewer"):
        assert "--path-prefix=/dagster" in found[name]["command"]
    for name in ("webserver", "webserver_viewer", "workspace"):
        assert found[name]["environment"]["WEBSERVER_URL"].endswith(":3000/dagster")
    assert found["web_gateway"]["environment"]["WEB_PATH_PREFIX"] == "/dagster"
    sso = found["sso"]["environment"]
    assert sso["OAUTH2_PROXY_PROXY_PREFIX"] == "/dagster/oauth2"
    assert sso["OAUTH2_PROXY_COOKIE_PATH"] == "/dagster/"
    assert sso["OAUTH2_PROXY_API_ROUTES"] == "^/dagster/graphql,^/dagster/report_asset_"


def test_without_a_prefix_all_is_at_the_root(checkout: Path) -> None:
    found = services(checkout)
    assert "--path-prefix=" in found["webserver"]["command"]
    sso = found["sso"]["environment"]
    assert sso["OAUTH2_PROXY_PROXY_PREFIX"] == "/oauth2"
    assert sso["OAUTH2_PROXY_COOKIE_PATH"] == "/"
