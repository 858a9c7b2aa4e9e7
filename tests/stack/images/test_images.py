"""`stackctl images` misses no file that BuildKit sends to a build.

A probe image copies all of a build's contexts, behind the build's own ignore file, and its files
are listed. No instruction of the real Dockerfile can read more than that. Of the context `packages`
it copies those that deploy/code_location/used-packages takes, which is the only one to read it.
"""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import REPOSITORY, Stack

COMMIT = ("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet")


class Checkout(Stack):
    """The repository with a history of its own."""

    def prepare(self) -> None:
        """Commit the project as it stands."""
        self.copy_project()
        (self.folder / ".tools").symlink_to(REPOSITORY / ".tools")
        self.run("git", "init", "--quiet")
        (self.folder / ".git/info/exclude").write_text(".tools\n")
        self.commit()

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", *COMMIT, "--message=x")

    def images(self, *options: str) -> list[dict[str, Any]]:
        """What `stackctl images` lists."""
        said = self.run("deploy/stackctl/stackctl", "images", "--json", *options)
        found: list[dict[str, Any]] = json.loads(said.splitlines()[-1])
        return found

    def builds(self) -> dict[str, dict[str, Any]]:
        """The build section of each built service, as Compose hands it to BuildKit."""
        command = ("--file=docker-compose.yml", "config", "--format=json")
        services = json.loads(self.compose(*command))["services"]
        return {name: each["build"] for name, each in services.items() if "build" in each}


def sent(builds: Mapping[str, Mapping[str, Any]], workspace: Path) -> dict[str, set[Path]]:
    """The files that BuildKit sends to each build, by asking it. ``workspace`` is empty."""
    targets, roots = {}, {}
    for name, build in builds.items():
        folder = workspace / name
        contexts = build.get("additional_contexts", {})
        roots[name] = [build["context"], *contexts.values()]
        lines = ["FROM scratch", "COPY . /0/"]
        for i, each in enumerate(contexts, start=1):
            parts = used_packages(build) if each == "packages" else ["."]
            lines += [f"COPY --from={each} {part} /{i}/{part}/" for part in parts]
        folder.mkdir()
        (folder / "Dockerfile").write_text("\n".join(lines))
        ignore_file = Path(build["context"], f"{build['dockerfile']}.dockerignore")
        if ignore_file.exists():
            shutil.copy(ignore_file, folder / "Dockerfile.dockerignore")
        targets[name] = {
            "context": build["context"],
            "contexts": contexts,
            "dockerfile": str(folder / "Dockerfile"),
            "output": [f"type=local,dest={folder}/sent"],
        }
    (workspace / "bake.json").write_text(json.dumps({"target": targets}))
    subprocess.run(
        ["docker", "buildx", "bake", "--progress=plain", "--file=bake.json", *targets],
        cwd=workspace,
        check=True,
    )
    found: dict[str, set[Path]] = {}
    for name in builds:
        # The first folder of each path is its context's number.
        paths = [
            each.relative_to(workspace / name / "sent")
            for each in files_in(workspace / name / "sent")
        ]
        found[name] = {Path(roots[name][int(path.parts[0])], *path.parts[1:]) for path in paths}
    return found


def used_packages(build: Mapping[str, Any]) -> list[str]:
    """The shared packages that the program of the image's build takes."""
    program = runpy.run_path(str(REPOSITORY / "deploy/code_location/used-packages"))
    used: list[str] = program["used"](Path(build["context"], "uv.lock").read_text())
    return used


def files_in(folder: Path) -> list[Path]:
    """All files in a folder, symbolic links among them."""
    return [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("images"), added_locations=())
    checkout.prepare()
    return checkout


def test_each_file_that_a_build_is_sent_is_listed(checkout: Checkout, tmp_path: Path) -> None:
    builds = checkout.builds()
    assert builds.keys() > {"elt", "analytics", "webserver", "web_gateway"}
    listed = {
        image["name"]: {checkout.folder / path for path in image["files"]}
        for image in checkout.images("--files")
    }
    assert listed.keys() == builds.keys()
    for name, files in sent(builds, tmp_path).items():
        assert files, name
        assert files - listed[name] == set(), name


@pytest.mark.long
def test_a_changed_file_of_a_location_is_listed_for_that_location_alone(
    checkout: Checkout,
) -> None:
    for path in ("elt/src/elt/definitions.py", "analytics/tests/test_definitions.py"):
        with (checkout.folder / "code_locations" / path).open("a") as file:
            file.write("# changed\n")
    checkout.commit()
    assert changed(checkout) == {"elt"}
    assert changed(checkout, "--locations", "--tests") == {"elt", "analytics"}


@pytest.mark.long
def test_a_changed_file_of_a_package_is_listed_for_the_locations_that_use_it(
    checkout: Checkout,
) -> None:
    for package, expected in (("postgres_loader", {"elt"}), ("location_kit", {"elt", "analytics"})):
        path = checkout.folder / "packages" / package / "src" / package / "__init__.py"
        path.write_text(path.read_text() + "# changed\n")
        checkout.commit()
        assert changed(checkout) == expected


def changed(checkout: Checkout, *options: str) -> set[str]:
    """Names of the images that the last commit affects."""
    return {image["name"] for image in checkout.images("--changed-since=HEAD~1", *options)}
