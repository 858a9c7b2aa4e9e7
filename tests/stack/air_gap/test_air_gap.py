"""A bundle that is made here brings the stack up on an engine without images or a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import REPOSITORY, Stack

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("dockerd") is None,
        reason="only root can start an engine, and needs dockerd",
    ),
]
# Its own may be out of reach, and has no stand-in; the profile is off here.
GRAFANA = "haproxy:3.0"
COMMIT = ("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Stack]:
    """The project as it stands, with a history: what a bundle is made of."""
    settings = {"COMPOSE_FILE": "docker-compose.yml", "GRAFANA_IMAGE": GRAFANA}
    stack = Stack(tmp_path / "here", settings=settings)
    stack.added_locations = ()
    stack.copy_project()
    stack.run("git", "init", "--quiet", "--initial-branch=main")
    stack.run("git", "add", "--all")
    stack.run("git", *COMMIT, "--message=x")
    (stack.folder / ".tools").symlink_to(REPOSITORY / ".tools")
    (stack.folder / ".git/info/exclude").write_text(".tools\n")
    try:
        yield stack
    finally:
        for image in stack.run("docker", "images", "-q", f"{stack.project}/*").split():
            stack.run("docker", "rmi", "--force", image, check=False)


def test_from_a_bundle_alone(checkout: Stack, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    print(checkout.run("make", "bundle", f"INTO={there}"))
    (archive,) = there.iterdir()
    assert archive.stat().st_size < 1.5e9
    inside = Path(__file__).with_name("inside.py")
    python = {"PYTHONPATH": str(inside.parents[1]), "PYTHONUNBUFFERED": "1"}
    environment = os.environ | python | {"GRAFANA_IMAGE": GRAFANA}
    done = subprocess.run(
        [
            *(str(REPOSITORY / "tests/own_engine"), "offline"),
            *(sys.executable, str(inside), str(archive), str(there), checkout.project),
        ],
        env=environment,
        check=False,
    )
    assert done.returncode == 0, "see above"
