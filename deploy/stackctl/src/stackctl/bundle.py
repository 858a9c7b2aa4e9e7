"""`stackctl bundle`: one archive with which this checkout works where there is no network."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from stackctl import bundle_archive, unbundle
from stackctl.console import listed, say, step
from stackctl.docker import ROOT, docker, inspect
from stackctl.errors import StackctlError
from stackctl.history import Files, git, untracked
from stackctl.image_cli import changed, compose_config
from stackctl.image_inputs import images_of
from stackctl.stack import Stack

_UV = "deploy/tools/uv"
_DOCKERFILE = "deploy/bundle/Dockerfile"
# Projects that are installed outside of images: this command on any Python, the embedded mode on
# the images' own alone.
_HOST_PROJECT = "deploy/stackctl"
_EMBEDDED_PROJECT = "deploy/embedded"
# What a build backend needs to install a project in place.
_EDITABLE = "editables"

_PIP_SETTINGS = "[global]\nno-index = true\nfind-links = /wheels\n"
_README = """# Dagster stack {version} for {architecture}

Everything with which this version of the stack is installed, built and changed on a Linux machine
without a network. Made {created}, of commit {commit}.

    tar -xf {archive} {repository} && git clone {repository} dagster && cd dagster
    make unbundle BUNDLE=../{archive}
    make up

The machine needs Docker Engine 26 or newer with Compose and Buildx, git, make, and Python 3.11 to
3.13. docs/company-network.md, "Without a network", says what then works, and how a next version
comes.

- `{repository}`: the checkout with its history; git clones it.
- `{images}`: {image_count} images, as `docker load` takes them; `{manifest}` lists them.
- `{wheels}`: {wheel_count} Python packages that the lock files name, so that images can be rebuilt.
- `{sums}`: the SHA-256 of each of these; `make unbundle` checks them.
"""


def bundle(
    into: Annotated[Path, typer.Option(help="The folder to write to.")] = ROOT / ".artifacts",
) -> None:
    """Write one archive that holds all that `make up` needs on a machine without a network."""
    commit = _commit()
    config = Stack.load("--profile=*").config
    into = into.resolve()
    foreign = sorted(unbundle.wanted_images(config))
    names = sorted({*foreign, *_built_images(config)})
    _refuse_digests(names)
    _provide(foreign)
    with step("Building the images"):
        docker("compose", "--profile=*", "--progress=plain", "build")
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=into) as folder:
            target, digest = _make(Path(folder), into, config, names, commit)
    except OSError as error:
        raise StackctlError(
            f"{error.filename or into}: {error.strerror}. Fix: a folder with room for some GB, and"
            " the right to write there: stackctl bundle --into"
        ) from None
    say(f"{target}: {target.stat().st_size / 1e6:,.0f} MB, SHA-256 {digest}")
    say(f"How it is installed: tar -xOf {target.name} {bundle_archive.README}")


def to_build() -> None:
    """Name the services to build where a bundle was taken in: not as it brought them."""
    config = Stack.load().config
    unchanged = _unchanged(json.loads((ROOT / unbundle.WHEELS / unbundle.NOTE).read_text()))
    for name, service in config["services"].items():
        if service.get("build") and name not in unchanged:
            print(name)


def _unchanged(note: Mapping[str, Any]) -> set[str]:
    """Services whose image is the bundle's, and would be built from the same files."""
    now, before = Files(), Files(note["commit"])
    try:
        paths = [*git("diff", "--name-only", "-z", before.commit).split("\0"), *untracked()]
        images = images_of(compose_config(now), now)
        differ = changed(images_of(compose_config(before), before), images, paths)
    except StackctlError:
        # No history, or a build from a folder outside the repository: nobody can tell.
        return set()
    names = {image["name"] for image in note["images"]}
    return {
        image.name
        for image in images
        if image not in differ
        and _base_images(image.build) <= names
        and [each["Id"] for each in inspect("image", image.tag)] == [note["ids"].get(image.tag)]
    }


def _make(
    work: Path, into: Path, config: Mapping[str, Any], names: Sequence[str], commit: str
) -> tuple[Path, str]:
    """Everything into ``work``, then into an archive; its path and its SHA-256."""
    architecture = docker("version", "--format={{.Server.Arch}}").strip()
    version = git("describe", "--tags", "--always", "--abbrev=12").strip()
    target = into / f"dagster-bundle-{version}-{architecture}.tar"
    with step("Downloading the wheels that the lock files name"):
        count = _download_wheels(config, work)
    with step(f"Saving {len(names)} images"):
        _save_images(names, work / bundle_archive.IMAGES)
    git("bundle", "create", "--quiet", str(work / bundle_archive.REPOSITORY), "HEAD", *_branch())
    manifest = {
        "format": bundle_archive.FORMAT,
        "commit": commit,
        "version": version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "architecture": architecture,
        "images": [_described(name) for name in names],
        "wheels": count,
    }
    (work / bundle_archive.MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    (work / bundle_archive.README).write_text(_readme(manifest, target.name))
    with step(f"Writing {target}"):
        return target, bundle_archive.pack(work, target)


def lists(config: Mapping[str, Any]) -> dict[str, str]:
    """Lists of packages by file name: of each lock file, and of the tools that install them."""
    locked = {name: _locked(name) for name in [*_projects(config), _EMBEDDED_PROJECT]}
    # Each package on each Python: what is for another one only is small, and does no harm.
    anywhere = re.sub(r" ; [^\\\n]*", "", _locked(_HOST_PROJECT))
    found = {f"image/{name.replace('/', '-')}.txt": text for name, text in locked.items()}
    return found | {"host/locked.txt": anywhere, "host/tools.txt": "\n".join(_tools()) + "\n"}


def _commit() -> str:
    if changed := git("status", "--porcelain").splitlines():
        raise StackctlError(
            f"this checkout has changes without a commit ({listed([c[3:] for c in changed])}), and"
            " a bundle is of one. Fix: git commit, or git stash --include-untracked"
        )
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        raise StackctlError(
            "this checkout is shallow, and a bundle has the whole history."
            " Fix: git fetch --unshallow"
        )
    return git("rev-parse", "HEAD").strip()


def _branch() -> list[str]:
    name = git("rev-parse", "--abbrev-ref", "HEAD").strip()
    return [] if name == "HEAD" else [name]


def _built_images(config: Mapping[str, Any]) -> set[str]:
    return {each["image"] for each in config["services"].values() if each.get("build")}


def _base_images(build: Mapping[str, Any]) -> set[str]:
    return unbundle.wanted_images({"services": {"": {"build": build, "image": ""}}})


def _refuse_digests(names: Sequence[str]) -> None:
    for name in names:
        if "@" in name:
            raise StackctlError(
                f"image {name} is named by a digest, which `docker load` does not bring back."
                " Fix: name it by a tag in .env; the bundle's manifest has its digest"
            )


def _provide(names: Sequence[str]) -> None:
    for name in names:
        if not inspect("image", name):
            with step(f"Pulling {name}"):
                docker("image", "pull", "--quiet", name)


def _projects(config: Mapping[str, Any]) -> list[str]:
    """Folders, relative to the repository, of the lock files that images are built from."""
    found = set()
    for service in config["services"].values():
        if build := service.get("build"):
            context = Path(build["context"])
            dockerfile = context / (build.get("dockerfile") or "Dockerfile")
            for folder in (context, dockerfile.parent):
                if (folder / "uv.lock").is_file():
                    found.add(os.path.relpath(folder, ROOT))
    return sorted(found)


def _locked(project: str) -> str:
    options = ("--frozen", "--no-dev", "--no-emit-project", "--no-emit-local", "--no-header")
    command = [_UV, "export", "--quiet", *options, "--no-annotate", "--project", project]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackctlError(f"{project}/uv.lock: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def _tools() -> list[str]:
    """uv, and the build backends of all projects, which no lock file names."""
    (version,) = re.findall(r"^version=(.*)$", (ROOT / _UV).read_text(), re.MULTILINE)
    found = {f"uv=={version}", _EDITABLE}
    for path in git("ls-files", "*pyproject.toml").split():
        if not path.startswith(("tests/", "bench/")):
            project = tomllib.loads((ROOT / path).read_text())
            found |= set(project.get("build-system", {}).get("requires", []))
    return sorted(found)


def _download_wheels(config: Mapping[str, Any], work: Path) -> int:
    """Into a folder of ``work``; how many."""
    with tempfile.TemporaryDirectory(dir=work) as context:
        for name, text in lists(config).items():
            path = Path(context) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        # The settings of a company's network, as an image of ours gets them.
        build = config["services"]["secrets"]["build"]
        arguments = [f"{k}={v}" for k, v in build["args"].items() if v is not None]
        target = work / bundle_archive.WHEELS_FOLDER
        docker(
            *("build", "--progress=plain", "--file", str(ROOT / _DOCKERFILE)),
            *("--build-context", f"ca={build['additional_contexts']['ca']}"),
            *("--secret", f"id=netrc,src={config['secrets']['netrc']['file']}"),
            *(option for each in arguments for option in ("--build-arg", each)),
            *("--output", f"type=local,dest={target}", context),
        )
    (target / bundle_archive.PIP_SETTINGS).write_text(_PIP_SETTINGS)
    return len(list(target.glob("*.whl")))


def _save_images(names: Sequence[str], target: Path) -> None:
    save = subprocess.Popen(
        ["docker", "save", *names], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert save.stdout and save.stderr  # noqa: S101
    # Twice as fast as the default, and 5 % larger.
    with target.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
        shutil.copyfileobj(save.stdout, packed, 1024 * 1024)
    problems = save.stderr.read().decode(errors="replace").strip()
    if save.wait():
        raise StackctlError(f"docker save: {problems}")


def _described(name: str) -> dict[str, Any]:
    found = inspect("image", name)[0]
    return {"name": name, "id": found["Id"], "digests": found.get("RepoDigests") or []}


def _readme(manifest: Mapping[str, Any], archive: str) -> str:
    return _README.format(
        **{name: manifest[name] for name in ("version", "architecture", "created", "commit")},
        archive=archive,
        repository=bundle_archive.REPOSITORY,
        images=bundle_archive.IMAGES,
        image_count=len(manifest["images"]),
        manifest=bundle_archive.MANIFEST,
        wheels=bundle_archive.WHEELS_FOLDER,
        wheel_count=manifest["wheels"],
        sums=bundle_archive.SUMS,
    )
