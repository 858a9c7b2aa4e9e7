"""Which image a changed file belongs to: in this repository, and between two commits."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stackctl.docker import COMPOSE_FILE, ROOT
from stackctl.errors import USAGE, StackctlError
from stackctl.history import Files, changed_paths, fork_point
from stackctl.image_cli import changed
from stackctl.image_inputs import Image, images_of

GATEWAYS = {"docker_gateway", "web_gateway"}
CONTROL_PLANE = {"secrets", "migrate", "workspace", "webserver"}
LOCATIONS = {"elt", "analytics"}
# All but HAProxy's.
PYTHON = LOCATIONS | CONTROL_PLANE | {"docker_gateway"}


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
        ("docker-compose.yml", set()),
        ("deploy/stackctl/src/stackctl/cli.py", set()),
        ("deploy/control_plane/tests/test_secrets.py", set()),
        ("code_locations/elt/tests/test_assets.py", set()),
        ("code_locations/elt/src/elt/ddl.py", {"elt"}),
        ("code_locations/elt/uv.lock", {"elt"}),
        ("code_locations/analytics/dbt/models/staging/stg_orders.sql", {"analytics"}),
        ("packages/location_kit/src/location_kit/postgres.py", LOCATIONS),
        ("packages/paged_api/src/paged_api/__init__.py", {"elt"}),
        ("packages/postgres_loader/src/postgres_loader/__init__.py", {"elt"}),
        ("packages/postgres_loader/tests/test_loading.py", set()),
        ("packages/compose_run_launcher/src/compose_run_launcher/worker.py", CONTROL_PLANE),
        ("packages/compose_run_launcher/tests/test_worker.py", set()),
        ("packages/.dockerignore", LOCATIONS),
        ("packages/unused/src/unused/__init__.py", set()),
        ("deploy/code_location/Dockerfile", LOCATIONS),
        ("deploy/code_location/Dockerfile.dockerignore", LOCATIONS),
        ("deploy/code_location/probe", LOCATIONS),
        ("deploy/code_location/entrypoint", LOCATIONS | CONTROL_PLANE),
        ("deploy/wheels/install-locked", PYTHON),
        ("deploy/ca/company.crt", PYTHON),
        ("deploy/control_plane/Dockerfile", CONTROL_PLANE),
        ("deploy/control_plane/Dockerfile.dockerignore", CONTROL_PLANE),
        ("deploy/control_plane/src/control_plane/daemon.py", CONTROL_PLANE),
        ("deploy/postgres/warehouse/elt.sql", CONTROL_PLANE),
        ("dagster.yaml", CONTROL_PLANE),
        ("deploy/gateway/docker/src/docker_gateway/rules.py", {"docker_gateway"}),
        ("deploy/gateway/docker/uv.lock", {"docker_gateway"}),
        ("deploy/gateway/docker/tests/test_http.py", set()),
        ("deploy/gateway/web/haproxy.cfg", {"web_gateway"}),
    ],
)
def test_a_file_belongs_to_the_images_that_may_read_it(
    ours: list[Image], path: str, expected: set[str]
) -> None:
    known = LOCATIONS | CONTROL_PLANE | GATEWAYS
    assert {image.name for image in ours if image.is_made_of(path)} & known == expected


COMPOSE = """
services:
  one:
    labels: {compose_run_launcher.role: code-location}
    image: x/one:live
    build:
      context: one
      dockerfile: ../shared/Dockerfile
      additional_contexts: {runtime: shared, packages: packages}
      args: {LOCATION: one}
  two:
    image: x/two:live
    mem_limit: 1g
    build: {context: shared, dockerfile: two.Dockerfile, target: base}
"""
LOCK = """
[[package]]
name = "one"
source = { editable = "." }

[[package]]
name = "requests"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "the-kit"
source = { editable = "../packages/kit" }
"""
FILES = {
    COMPOSE_FILE: COMPOSE,
    "shared/Dockerfile": "FROM python:3",
    "shared/Dockerfile.dockerignore": "tests\n",
    "shared/two.Dockerfile": "FROM python:3 AS base",
    "shared/tool": "tool",
    "one/code.py": "code",
    "one/notes.md": "notes",
    "one/tests/test.py": "test",
    "one/uv.lock": LOCK,
    "packages/.dockerignore": "**/tests",
    "packages/kit/src/kit.py": "code",
    "packages/kit/tests/test.py": "test",
    "packages/other/src/other.py": "code",
    "README.md": "readme",
}


class Repository:
    """A small repository of the same shape, with a history of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True)

    def write(self, files: Mapping[str, str | None]) -> None:
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                (self.folder / path).unlink()
            else:
                (self.folder / path).write_text(text)

    def commit(self, files: Mapping[str, str | None]) -> None:
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=change")

    def changed_since(self, reference: str, *, tests: bool = False) -> set[str]:
        before = Files(fork_point(reference, self.folder), self.folder)
        now = Files("HEAD", self.folder)
        old, new = (
            images_of(resolve(files.read(COMPOSE_FILE), self.folder), files)
            for files in (before, now)
        )
        paths = changed_paths(before.commit, self.folder)
        return {image.name for image in changed(old, new, paths, tests=tests)}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        # In a git hook these would name the repository that is committed to.
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            patch.delenv(name)
        repository = Repository(tmp_path_factory.mktemp("template"))
        repository.git("init", "--quiet", "--initial-branch=main", "--template=")
        repository.commit(FILES)
        yield repository.folder


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Repository:
    return Repository(shutil.copytree(template, tmp_path / "repository"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"README.md": "other"}, set()),
        ({"one/code.py": "other"}, {"one"}),
        ({"one/code.py": None}, {"one"}),
        ({"one/code.py": None, "code.py": "code"}, {"one"}),
        ({"one/more.py": "new"}, {"one"}),
        ({"one/tests/test.py": "other"}, set()),
        ({"shared/tool": "other"}, {"one", "two"}),
        ({"shared/tests/tool": "new"}, set()),
        ({"shared/src/tests/tool": "new"}, {"one", "two"}),
        ({"shared/Dockerfile": "FROM python:4"}, {"one", "two"}),
        ({"shared/Dockerfile.dockerignore": None}, {"one", "two"}),
        ({"packages/kit/src/kit.py": "other"}, {"one"}),
        ({"packages/kit/tests/test.py": "other"}, set()),
        ({"packages/.dockerignore": ""}, {"one"}),
        ({"packages/other/src/other.py": "other"}, set()),
        ({"packages/kit_2/src/kit.py": "new"}, set()),
        ({"one/uv.lock": LOCK.replace("packages/kit", "packages/other")}, {"one"}),
        ({COMPOSE_FILE: COMPOSE.replace("1g", "2g")}, set()),
        ({COMPOSE_FILE: COMPOSE.replace("N: one", "N: other")}, {"one"}),
        ({COMPOSE_FILE: COMPOSE.replace("  two:", "  three:")}, {"three"}),
    ],
)
def test_a_change_affects_the_images_that_it_may_reach(
    repository: Repository, change: dict[str, str | None], expected: set[str]
) -> None:
    repository.commit(change)
    assert repository.changed_since("HEAD~1") == expected


def test_a_file_that_becomes_executable_has_changed(repository: Repository) -> None:
    (repository.folder / "one/code.py").chmod(0o755)
    repository.commit({})
    assert repository.changed_since("HEAD~1") == {"one"}


def test_tests_of_a_location_are_affected_by_any_file_of_its_folder_and_its_packages(
    repository: Repository,
) -> None:
    repository.commit({"one/tests/test.py": "other"})
    assert repository.changed_since("HEAD~1", tests=True) == {"one"}
    repository.commit({"packages/kit/tests/test.py": "other"})
    assert repository.changed_since("HEAD~1", tests=True) == {"one"}
    repository.commit({"README.md": "other", "packages/other/tests/test.py": "new"})
    assert repository.changed_since("HEAD~1", tests=True) == set()


def test_what_happened_elsewhere_since_the_fork_does_not_count(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit({"README.md": "other"})
    repository.git("checkout", "--quiet", "main")
    repository.commit({"one/code.py": "other"})
    repository.git("checkout", "--quiet", "feature")
    assert repository.changed_since("main") == set()


def test_an_unknown_commit_is_named_with_the_way_out(repository: Repository) -> None:
    with pytest.raises(StackctlError, match=r"'nowhere' is not a commit.*fetch") as refusal:
        fork_point("nowhere", repository.folder)
    assert refusal.value.exit_code == USAGE


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("context: one", "context: ../elsewhere"),
        ("dockerfile: ../shared/", "dockerfile: ../../elsewhere/"),
        ("runtime: shared", "runtime: ../elsewhere"),
    ],
)
def test_what_lies_outside_the_repository_is_refused(
    repository: Repository, ours: str, theirs: str
) -> None:
    assert ours in COMPOSE
    config = resolve(COMPOSE.replace(ours, theirs), repository.folder)
    with pytest.raises(StackctlError, match=r"one: .*elsewhere.* is not in this repository.*Fix:"):
        images_of(config, Files(folder=repository.folder))


@pytest.mark.parametrize(
    ("value", "refused"),
    [("docker-image://python:3", False), ("service:two", True)],
)
def test_a_context_that_is_no_folder(repository: Repository, value: str, refused: bool) -> None:
    config = resolve(COMPOSE, repository.folder)
    config["services"]["one"]["build"]["additional_contexts"]["runtime"] = value
    files = Files(folder=repository.folder)
    if refused:
        with pytest.raises(StackctlError, match=value):
            images_of(config, files)
    else:
        assert not images_of(config, files)[0].is_made_of("shared/tool")
