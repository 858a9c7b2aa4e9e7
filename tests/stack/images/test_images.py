"""What `stackctl images` derives is what the builder does, for every file of the repository."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import REPOSITORY, Stack

# Where COPY puts things; what `uv sync` and Python make lies there, too, and does no harm.
SHOW_FILES = (
    "find /app /usr/local/bin /usr/local/etc -path /app/.venv -prune -o"
    " -type f ! -name '*.pyc' -exec sha256sum {} +"
)
COMMIT = ("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet")


class Checkout(Stack):
    """The repository with a history of its own, and images that nothing runs."""

    def prepare(self) -> None:
        """Commit the project as it stands. No two files in it are equal for being empty."""
        self.copy_project()
        (self.folder / ".tools").symlink_to(REPOSITORY / ".tools")
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.stat().st_size:
                path.write_text(f"# {path.relative_to(self.folder)}\n")
        self.run("git", "init", "--quiet")
        (self.folder / ".git/info/exclude").write_text(".tools\n")
        self.commit()

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", *COMMIT, "--message=x")

    def images(self, *options: str) -> list[dict[str, object]]:
        """What `stackctl images` lists."""
        said = self.run("deploy/stackctl/stackctl", "images", "--json", *options)
        found: list[dict[str, object]] = json.loads(said.splitlines()[-1])
        return found

    def build(self, name: str) -> str:
        """Id of a service's image, built as its files say now; "failed" where that ends it."""
        built = self.run("sh", "-c", f"docker compose build --quiet {name} 2>&1 || echo failed")
        if built.rstrip().endswith("failed"):
            return "failed"
        return self.run("docker", "image", "inspect", "-f", "{{.Id}}", self.tags[name]).strip()

    def build_all(self) -> dict[str, str]:
        """The same for all of them."""
        with ThreadPoolExecutor(4) as pool:
            return dict(zip(self.tags, pool.map(self.build, self.tags), strict=True))

    @property
    def tags(self) -> dict[str, str]:
        """The images' names by service."""
        return {str(image["name"]): str(image["image"]) for image in self.listed}

    listed: list[dict[str, object]]
    ids: dict[str, str]

    def consequences(self) -> tuple[set[str], set[str]]:
        """The images that are said to change with what stands here, and those that do."""
        self.commit()
        try:
            said = {str(image["name"]) for image in self.images("--changed-since", "HEAD~1")}
            now = self.build_all()
            return said, {name for name, identity in now.items() if identity != self.ids[name]}
        finally:
            self.run("git", "reset", "--quiet", "--hard", "HEAD~1")

    def append(self, paths: list[str], line: str) -> None:
        """Add a line to files, in which their path stands for {}: no two get the same."""
        for path in paths:
            with (self.folder / path).open("a") as file:
                file.write("\n" + line.format(path) + "\n")


# No parser takes it: a build that reads it goes on differently, or fails within a second.
SPOILED = "]{}["
# `stackctl` itself is among the files that reach no image, and is needed.
HARMLESS = "# {}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path_factory.mktemp("images"), added_locations=())
    checkout.prepare()
    checkout.listed = checkout.images("--files")
    try:
        checkout.ids = checkout.build_all()
        assert "failed" not in checkout.ids.values(), checkout.compose("build")
        yield checkout
    finally:
        tags = " ".join(checkout.tags.values())
        checkout.run("sh", "-c", f"docker image rm --force {tags}", check=False)
        shutil.rmtree(checkout.folder, ignore_errors=True)


def rules_of(checkout: Checkout) -> set[str]:
    """Files that say what is built; they are in no image."""
    dockerfiles = {str(image["dockerfile"]) for image in checkout.listed}
    return dockerfiles | {f"{path}.dockerignore" for path in dockerfiles} | {"docker-compose.yml"}


def owners(checkout: Checkout) -> dict[str, frozenset[str]]:
    """Every file of the repository, and the images that are said to be made with it."""
    found: dict[str, set[str]] = {
        path: set() for path in checkout.run("git", "ls-files").splitlines()
    }
    for image in checkout.listed:
        files = image["files"]
        assert isinstance(files, list)
        for path in files:
            found[path].add(str(image["name"]))
    rules = rules_of(checkout)
    return {path: frozenset(names) for path, names in found.items() if path not in rules}


def test_every_file_reaches_exactly_the_images_that_it_is_said_to(checkout: Checkout) -> None:
    """All files of a kind at once: none of them may reach an image that is not named."""
    kinds: dict[frozenset[str], list[str]] = defaultdict(list)
    for path, names in owners(checkout).items():
        kinds[names].append(path)
    assert frozenset() in kinds
    assert len(kinds) > 5
    for names, paths in kinds.items():
        checkout.append(paths, SPOILED if names else HARMLESS)
        said, rebuilt = checkout.consequences()
        assert said == names, paths
        assert rebuilt == names, paths


def test_every_file_is_in_the_images_that_it_is_said_to_reach(checkout: Checkout) -> None:
    """One by one: by its content, or by what the build does without its old one."""
    held = {}
    for name, identity in checkout.ids.items():
        shown = checkout.run(
            *("docker", "run", "--rm", "--network=none", "--user=0", "--entrypoint=sh"),
            *(identity, "-c", SHOW_FILES),
            # Not every image has all of these folders.
            check=False,
        )
        found = (line.split(maxsplit=1) for line in shown.splitlines())
        held[name] = {(Path(path).name, digest) for digest, path in found}
    unseen: dict[str, list[str]] = defaultdict(list)
    for path, names in owners(checkout).items():
        digest = hashlib.sha256((checkout.folder / path).read_bytes()).hexdigest()
        for name in names:
            if (Path(path).name, digest) not in held[name]:
                unseen[path].append(name)
    # Mounted for one step, or used in a stage that is left behind.
    assert len(unseen) < 10, unseen
    for path, names_of_it in unseen.items():
        checkout.append([path], SPOILED)
        try:
            untouched = [name for name in names_of_it if checkout.build(name) == checkout.ids[name]]
            assert not untouched, path
        finally:
            checkout.run("git", "checkout", "--quiet", path)


IGNORED = "deploy/code_location/Dockerfile.dockerignore"


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("deploy/code_location/Dockerfile", "WORKDIR /app\n", "WORKDIR /app\n# why\n", set()),
        (
            "deploy/code_location/Dockerfile",
            "EXPOSE 4000",
            "LABEL a=b\nEXPOSE 4000",
            {"elt", "analytics"},
        ),
        (IGNORED, "tests\n", "# why\ntests\n", set()),
        (
            "deploy/code_location/Dockerfile.dockerignore",
            "tests\n",
            "tests\nsrc/elt/ddl.py\n",
            {"elt"},
        ),
        (
            "deploy/control_plane/Dockerfile",
            "title=secrets",
            "title=passwords",
            {"secrets"},
        ),
        ("deploy/control_plane/Dockerfile", "title=control-plane", "title=control", {"webserver"}),
        ("docker-compose.yml", "mem_limit: 512m", "mem_limit: 513m", set()),
        ("docker-compose.yml", "LOCATION: elt", "LOCATION: other", {"elt"}),
    ],
)
@pytest.mark.long
def test_what_is_built_changes_with_its_rules(
    checkout: Checkout, path: str, old: str, new: str, expected: set[str]
) -> None:
    file = checkout.folder / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    said, rebuilt = checkout.consequences()
    assert said == expected
    assert rebuilt == expected


def test_all_is_as_it_was(checkout: Checkout) -> None:
    """What was seen above came from the changes, and not from a builder that failed by itself."""
    assert checkout.build_all() == checkout.ids
