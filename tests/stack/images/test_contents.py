"""What is in the images, and whether any of it is known to be vulnerable."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from harness import REPOSITORY, Stack


def locked(project: str) -> dict[str, str]:
    """Versions by name, of a project's lock file."""
    lock = tomllib.loads((REPOSITORY / project / "uv.lock").read_text())
    return {each["name"]: each["version"] for each in lock["package"] if "version" in each}


def test_each_image_has_a_bill_of_materials(stack: Stack, tmp_path: Path) -> None:
    said = stack.run("deploy/stackctl/stackctl", "sbom", "--into", str(tmp_path))
    config = json.loads(stack.compose("config", "--format", "json"))
    built = {each["image"] for each in config["services"].values() if "build" in each}
    found = {}
    for path in tmp_path.glob("*.cdx.json"):
        bill = json.loads(path.read_text())
        found[bill["metadata"]["component"]["name"]] = {
            each["purl"].partition("?")[0] for each in bill["components"]
        }
        assert str(path) in said
    assert found.keys() == built
    project = stack.project
    dagster = locked("code_locations/elt")["dagster"]
    assert f"pkg:pypi/dagster@{dagster}" in found[f"{project}/elt:live"]
    webserver = locked("deploy/control_plane")["dagster-webserver"]
    assert f"pkg:pypi/dagster-webserver@{webserver}" in found[f"{project}/control-plane:live"]
    for name in ("web-gateway", "docker-gateway"):
        packages = found[f"{project}/{name}:live"]
        assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in packages)
        assert not any(purl.startswith("pkg:pypi/dagster") for purl in packages)


def test_an_image_that_is_not_there(stack: Stack, tmp_path: Path) -> None:
    command = ("deploy/stackctl/stackctl", "sbom", "--image=none/such:1", "--into", str(tmp_path))
    said = stack.run(*command, check=False)
    assert "no image none/such:1" in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())


class Database:
    """Answers as OSV does, and knows some packages to be vulnerable."""

    def __init__(self, server: HTTPServer, vulnerable: set[str]) -> None:
        self.vulnerable = vulnerable
        self.asked: set[str] = set()
        server.expect_request("/v1/querybatch").respond_with_handler(self.query)
        server.expect_request("/v1/vulns/PLANTED-1").respond_with_json(
            {"id": "PLANTED-1", "modified": "2026-01-01T00:00:00Z", "summary": "Planted"}
        )

    def query(self, request: Request) -> Response:
        """One list of ids for each package that is asked for."""
        names = [query["package"]["name"] for query in request.get_json()["queries"]]
        self.asked |= set(names)
        known = {"vulns": [{"id": "PLANTED-1", "modified": "2026-01-01T00:00:00Z"}]}
        results = [known if name in self.vulnerable else {} for name in names]
        return Response(json.dumps({"results": results}), content_type="application/json")


def audit(url: str) -> subprocess.CompletedProcess[str]:
    """What `make audit` says of this repository."""
    return subprocess.run(
        ["tests/audit"],
        cwd=REPOSITORY,
        env=os.environ | {"OSV_URL": url},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("vulnerable", "status"), [(set(), 0), ({"dagster-webserver"}, 1)])
def test_locked_packages_are_looked_up(
    httpserver: HTTPServer, vulnerable: set[str], status: int
) -> None:
    database = Database(httpserver, vulnerable)
    done = audit(httpserver.url_for("/"))
    assert done.returncode == status, done.stderr
    # Of locations, of the control plane, of stackctl, and of tests.
    assert {"dagster", "dagster-webserver", "typer", "pytest"} <= database.asked
    assert ("PLANTED-1" in done.stdout) == bool(status)
    assert ("known vulnerabilities in" in done.stderr) == bool(status)


def test_no_answer_is_no_good_news() -> None:
    done = audit("http://127.0.0.1:9/")
    assert done.returncode == 3
    assert "could not be asked" in done.stderr
