"""Which change makes which image anew: in this repository, and between two commits."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stackctl.docker import COMPOSE_FILE, ROOT
from stackctl.errors import USAGE, StackctlError
from stackctl.history import Files, fork_point
from stackctl.image_cli import changed
from stackctl.image_inputs import Image, images_of

GATEWAYS = {"docker_gateway", "web_gateway"}
CONTROL_PLANE = {"secrets", "migrate", "webserver"}
LOCATIONS = {"elt", "analytics"}


def resolve(text: str, root: Path) -> dict[str, Any]:
    """What `docker compose config` makes of build sections: unit tests run without docker, too."""
    filled = re.sub(r"\$\{(\w+)(?::-([^{}]*))?\}", lambda found: found[2] or found[1], text)
    config: dict[str, Any] = YAML(typ="safe").load(io.StringIO(filled))
    for service in config["services"].values():
        if isinstance(build := service.get("build"), dict):
            build["context"] = os.path.normpath(root / build["context"])
            for name, folder in (build.get("additional_contexts") or {}).items():
                build["additional_contexts"][name] = os.path.normpath(root / folder)
    return config


@pytest.fixture(scope="module")
def ours() -> list[Image]:
    return images_of(resolve((ROOT / COMPOSE_FILE).read_text(), ROOT), Files())


def test_every_image_is_listed_and_locations_say_that_they_are(ours: list[Image]) -> None:
    assert {image.name for image in ours} >= CONTROL_PLANE | LOCATIONS | GATEWAYS
    assert {image.name for image in ours if image.location} >= LOCATIONS
    assert not {image.name for image in ours if image.location} & CONTROL_PLANE


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("README.md", set()),
        ("docs/secrets.md", set()),
        ("docker-compose.yml", set()),
        ("deploy/stackctl/src/stackctl/cli.py", set()),
        ("deploy/control_plane/tests/test_secrets.py", set()),
        ("code_locations/elt/tests/test_assets.py", set()),
        ("code_locations/elt/src/elt/ddl.py", {"elt"}),
        ("code_locations/elt/uv.lock", {"elt"}),
        ("code_locations/analytics/pyproject.toml", {"analytics"}),
        ("deploy/code_location/entrypoint", {"elt", "analytics", "migrate", "webserver"}),
        ("code_locations/analytics/dbt/models/staging/stg_orders.sql", {"analytics"}),
        ("code_locations/analytics/dbt/target/manifest.json", set()),
        ("deploy/code_location/dbt-parse", {"elt", "analytics"}),
        ("deploy/code_location/probe.py", {"elt", "analytics"}),
        ("deploy/code_location/release-id", {"elt", "analytics"}),
        ("deploy/control_plane/src/control_plane/secrets.py", CONTROL_PLANE),
        ("deploy/control_plane/src/control_plane/daemon.py", {"migrate", "webserver"}),
        ("deploy/control_plane/uv.lock", {"migrate", "webserver"}),
        ("deploy/postgres/warehouse/elt.sql", {"migrate", "webserver"}),
        ("dagster.yaml", {"webserver"}),
        ("deploy/gateway/docker/src/docker_gateway/rules.py", {"docker_gateway"}),
        ("deploy/gateway/docker/uv.lock", {"docker_gateway"}),
        ("deploy/gateway/docker/tests/test_http.py", set()),
        ("deploy/gateway/web/haproxy.cfg", {"web_gateway"}),
    ],
)
def test_a_file_belongs_to_the_images_that_read_it(
    ours: list[Image], path: str, expected: set[str]
) -> None:
    known = LOCATIONS | CONTROL_PLANE | GATEWAYS
    assert {image.name for image in ours if image.holds(path)} & known == expected


COMPOSE = """
services:
  one:
    labels: {compose_run_launcher.role: code-location}
    image: x/one:live
    build:
      context: one
      dockerfile: ../shared/Dockerfile
      additional_contexts: {runtime: shared}
      args: {LOCATION: one}
  two:
    image: x/two:live
    mem_limit: 1g
    build: {context: shared, dockerfile: two.Dockerfile, target: base}
"""
DOCKERFILE = """
FROM python:3 AS base
COPY --from=runtime tool /bin/
FROM base
COPY . /app
"""
FILES = {
    COMPOSE_FILE: COMPOSE,
    "shared/Dockerfile": DOCKERFILE,
    "shared/Dockerfile.dockerignore": "tests\n",
    "shared/two.Dockerfile": "FROM python:3 AS base\nCOPY tool /bin/\n",
    "shared/tool": "tool",
    "one/code.py": "code",
    "one/notes.md": "notes",
    "one/tests/test.py": "test",
    "README.md": "readme",
}


class Repository:
    """A small repository of the same shape, with a history of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit(FILES)

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True)

    def commit(self, files: Mapping[str, str | None]) -> None:
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                (self.folder / path).unlink()
            else:
                (self.folder / path).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=change")

    def changed_since(self, reference: str, *, tests: bool = False) -> set[str]:
        before = Files(fork_point(reference, self.folder), self.folder)
        now = Files("HEAD", self.folder)
        old, new = (
            images_of(resolve(files.read(COMPOSE_FILE), self.folder), files)
            for files in (before, now)
        )
        return {image.name for image in changed(old, before, new, now, tests=tests)}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    # In a git hook these would name the repository that is committed to.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    return Repository(tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"README.md": "other"}, set()),
        ({"one/code.py": "other"}, {"one"}),
        ({"one/code.py": None}, {"one"}),
        ({"one/more.py": "new"}, {"one"}),
        ({"one/tests/test.py": "other"}, set()),
        ({"shared/tool": "other"}, {"one", "two"}),
        ({"shared/Dockerfile": DOCKERFILE + "# a comment\n"}, set()),
        ({"shared/Dockerfile": DOCKERFILE + "LABEL a=b\n"}, {"one"}),
        ({"shared/two.Dockerfile": FILES["shared/two.Dockerfile"] + "FROM x\nRUN y\n"}, set()),
        ({"shared/Dockerfile.dockerignore": "tests\n# a comment\n"}, set()),
        ({"shared/Dockerfile.dockerignore": "tests\n*.md\n"}, {"one"}),
        ({"shared/Dockerfile.dockerignore": ""}, {"one"}),
        ({COMPOSE_FILE: COMPOSE.replace("1g", "2g")}, set()),
        ({COMPOSE_FILE: COMPOSE.replace("N: one", "N: other")}, {"one"}),
    ],
)
def test_a_change_makes_those_images_anew_that_it_reaches(
    repository: Repository, change: dict[str, str | None], expected: set[str]
) -> None:
    repository.commit(change)
    assert repository.changed_since("HEAD~1") == expected


def test_a_file_that_becomes_executable_has_changed(repository: Repository) -> None:
    (repository.folder / "one/code.py").chmod(0o755)
    repository.commit({})
    assert repository.changed_since("HEAD~1") == {"one"}


def test_tests_of_a_location_are_affected_by_any_file_of_its_folder(
    repository: Repository,
) -> None:
    repository.commit({"one/tests/test.py": "other"})
    assert repository.changed_since("HEAD~1", tests=True) == {"one"}
    repository.commit({"README.md": "other"})
    assert repository.changed_since("HEAD~1", tests=True) == set()


def test_what_happened_elsewhere_since_the_fork_does_not_count(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit({"README.md": "other"})
    repository.git("checkout", "--quiet", "main")
    repository.commit({"one/code.py": "other"})
    repository.git("checkout", "--quiet", "feature")
    assert repository.changed_since("main") == set()


def test_an_unknown_commit_is_named_with_the_way_out(repository: Repository) -> None:
    with pytest.raises(StackctlError, match=r"'nowhere' is no commit.*fetch") as refusal:
        fork_point("nowhere", repository.folder)
    assert refusal.value.exit_code == USAGE
