"""`make audit`: locked packages are looked up in a database of known vulnerabilities.

The script runs in a small repository of two projects, and asks a database of the test's own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from stackctl.docker import ROOT
from stackctl.history import Files

PROJECTS = {"first": "attrs", "second": "typer"}
LOCK = """
version = 1
requires-python = ">=3.11"

[[package]]
name = "{project}"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "{package}" }}]

[[package]]
name = "{package}"
version = "2.0"
source = {{ registry = "https://pypi.org/simple" }}
sdist = {{ url = "https://example.org/{package}-2.0.tar.gz", hash = "sha256:{hash}" }}
"""
PLANTED = {"id": "PLANTED-1", "modified": "2026-01-01T00:00:00Z", "summary": "Planted"}


class Database:
    """Answers as OSV does, and knows some packages to be vulnerable."""

    def __init__(self, server: HTTPServer) -> None:
        self.vulnerable: set[str] = set()
        self.asked: set[str] = set()
        self.url = server.url_for("/")
        server.expect_request("/v1/querybatch").respond_with_handler(self.query)
        server.expect_request("/v1/vulns/PLANTED-1").respond_with_json(PLANTED)

    def query(self, request: Request) -> Response:
        """One list of ids for each package that is asked for."""
        names = [query["package"]["name"] for query in request.get_json()["queries"]]
        self.asked |= set(names)
        results = [{"vulns": [PLANTED]} if name in self.vulnerable else {} for name in names]
        return Response(json.dumps({"results": results}), content_type="application/json")


@pytest.fixture
def database(httpserver: HTTPServer) -> Database:
    return Database(httpserver)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for project, package in PROJECTS.items():
        (tmp_path / project).mkdir()
        (tmp_path / project / "pyproject.toml").write_text(
            f'[project]\nname = "{project}"\nversion = "1"\n'
            f'requires-python = ">=3.11"\ndependencies = ["{package}"]\n'
        )
        lock = LOCK.format(project=project, package=package, hash="0" * 64)
        (tmp_path / project / "uv.lock").write_text(lock)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/audit", tmp_path / "tests")
    (tmp_path / "tests/projects.sh").write_text(f'LOCKED="{" ".join(PROJECTS)}"\n')
    (tmp_path / "tests/audited").touch()
    (tmp_path / "deploy/tools").mkdir(parents=True)
    (tmp_path / "deploy/tools/uv").write_text(f'#!/bin/sh\nexec {ROOT}/deploy/tools/uv "$@"\n')
    (tmp_path / "deploy/tools/uv").chmod(0o755)
    return tmp_path


def audit(repository: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["tests/audit"],
        cwd=repository,
        env=os.environ | {"OSV_URL": url, "UV_HTTP_RETRIES": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_known(repository: Path, database: Database) -> None:
    done = audit(repository, database.url)
    assert done.returncode == 0, done.stderr
    assert database.asked == set(PROJECTS.values())


def test_a_known_vulnerability_and_its_project_are_named(
    repository: Path, database: Database
) -> None:
    database.vulnerable = {"attrs"}
    done = audit(repository, database.url)
    assert done.returncode == 1
    assert "PLANTED-1" in done.stdout
    assert "known vulnerabilities in first, " in done.stderr
    # The other project is looked up all the same.
    assert database.asked == set(PROJECTS.values())


def test_an_accepted_vulnerability_is_no_failure(repository: Path, database: Database) -> None:
    database.vulnerable = {"attrs"}
    (repository / "tests/audited").write_text("# Not reachable here.\nPLANTED-1 attrs\n")
    done = audit(repository, database.url)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_answer_is_an_error_of_its_own(repository: Path) -> None:
    # Nothing listens on the port "discard".
    done = audit(repository, "http://127.0.0.1:9/")
    assert done.returncode == 3
    assert "could not be asked" in done.stderr
    assert "refused" in done.stderr


def test_a_lock_file_that_cannot_be_read_is_not_taken_for_an_outage(
    repository: Path, database: Database
) -> None:
    (repository / "first/uv.lock").write_text("not a lock file\n")
    done = audit(repository, database.url)
    assert done.returncode == 1
    assert "error: first/uv.lock cannot be read: " in done.stderr


def test_every_lock_file_is_looked_up() -> None:
    listed = subprocess.run(
        ["sh", "-c", '. tests/projects.sh; echo "$LOCKED"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    locked = {str(Path(path).parent) for path in Files().paths if Path(path).name == "uv.lock"}
    # A sample of what somebody brings along.
    assert locked - {"tests/guides/acme-pipelines"} == set(listed)
