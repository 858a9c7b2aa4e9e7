"""A bundle: what taking it in refuses, with nothing changed; and what is built afterwards.

Docker is a stand-in here; tests/stack/air_gap takes a real bundle to an engine without a network.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackctl import bundle, bundle_archive, unbundle
from stackctl.docker import ROOT
from stackctl.errors import StackctlError
from stackctl.history import Files, git
from stackctl.image_cli import compose_config
from stackctl.image_inputs import images_of
from stackctl.stack import Stack

CONFIG = {
    "services": {
        "elt": {
            "image": "s/elt:live",
            "build": {"context": "/x", "args": {"PYTHON_IMAGE": "python:3.13"}},
        },
        "postgres": {"image": "postgres:17"},
    }
}
STAND_IN = """#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in
version*) [ -n "$ARCHITECTURE" ] && echo "$ARCHITECTURE" ;;
"compose --profile=* config --format=json") echo "$CONFIG" ;;
"load --quiet") cat >"$ASKED.images" ;;
"image inspect"*) echo sha256:1 ;;
esac
"""
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
IMAGES = gzip.compress(b"images")


# What the program is made of, which runs where nothing is installed.
PROGRAM = ("__init__", "bundle_archive", "unbundle")


class Machine:
    """A checkout with a history, and a docker command that says what an engine would."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.asked = folder / "asked"
        self.bin = folder / "bin"
        for name in (
            "deploy/stackctl/unbundle",
            *(f"deploy/stackctl/src/stackctl/{name}.py" for name in PROGRAM),
            *("deploy/tools/python.sh", "deploy/wheels/README.md", ".gitignore", "Makefile"),
        ):
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.checkout / name)
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x")
        self.bin.mkdir()
        (self.bin / "docker").write_text(STAND_IN)
        (self.bin / "docker").chmod(0o755)
        # The first that is tried, or each test would look for one, 0.3 s of CPU with pyenv.
        (self.bin / "python3.13").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (self.bin / "python3.13").chmod(0o755)
        self.asked.touch()

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            [*GIT, *arguments], cwd=self.checkout, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def take_in(
        self, archive: Path | str, *options: str, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """`make unbundle`."""
        environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "ASKED": str(self.asked),
            "ARCHITECTURE": "amd64",
            "CONFIG": json.dumps(CONFIG),
        }
        command = ["make", "--silent", "unbundle", f"BUNDLE={archive}"]
        if options:
            command = ["deploy/stackctl/unbundle", *options, str(archive)]
        return subprocess.run(
            command,
            cwd=self.checkout,
            env=environment | settings,
            capture_output=True,
            text=True,
            check=False,
        )

    def refusal(self, archive: Path | str, **settings: str) -> str:
        """The one line of an error; nothing was changed."""
        done = self.take_in(archive, **settings)
        assert done.returncode != 0, done.stdout
        line = done.stderr.splitlines()[0]
        assert line.startswith("error: ") and "Fix: " in line, done.stderr
        assert "Traceback" not in done.stderr
        assert "load" not in self.asked.read_text()
        assert self.git("status", "--porcelain", "--ignored") == ""
        return line


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


Make = Callable[..., Path]


@pytest.fixture
def make(machine: Machine, tmp_path: Path) -> Make:
    def made(**changes: Any) -> Path:
        """A bundle of the machine's commit, with some of its manifest changed."""
        work = tmp_path / "work"
        (work / "wheels").mkdir(parents=True)
        manifest = {
            "format": bundle_archive.FORMAT,
            "commit": machine.git("rev-parse", "HEAD"),
            "version": "v1",
            "architecture": "amd64",
            "images": [{"name": name} for name in ("s/elt:live", "postgres:17", "python:3.13")],
            "wheels": 1,
        }
        (work / bundle_archive.MANIFEST).write_text(json.dumps(manifest | changes))
        (work / bundle_archive.README).write_text("how\n")
        (work / bundle_archive.REPOSITORY).write_text("commits\n")
        (work / bundle_archive.IMAGES).write_bytes(IMAGES)
        (work / "wheels/idna-3-py3-none-any.whl").write_text("wheel\n")
        (work / "wheels/pip.conf").write_text("[global]\n")
        bundle_archive.pack(work, tmp_path / "bundle.tar")
        shutil.rmtree(work)
        return tmp_path / "bundle.tar"

    return made


def repacked(archive: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The archive with other members."""
    with tarfile.open(archive) as old:
        content = {}
        for member in old:
            file = old.extractfile(member)
            assert file
            content[member.name] = file.read()
    change(content)
    with tarfile.open(archive, "w") as new:
        for name, data in content.items():
            path = archive.with_name("member")
            path.write_bytes(data)
            new.add(path, name)
    return archive


def test_what_is_taken_in(machine: Machine, make: Make) -> None:
    done = machine.take_in(make())
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Bundle v1 is here. `make up` needs no network."
    assert machine.asked.with_name("asked.images").read_bytes() == IMAGES
    wheels = machine.checkout / unbundle.WHEELS
    assert {path.name for path in wheels.iterdir()} == {
        *("README.md", "idna-3-py3-none-any.whl", "pip.conf", "bundle.json")
    }
    note = json.loads((wheels / unbundle.NOTE).read_text())
    assert note["ids"] == dict.fromkeys(("s/elt:live", "postgres:17", "python:3.13"), "sha256:1")
    # Nothing that git would take for a change; and a next one replaces it.
    assert machine.git("status", "--porcelain") == ""
    (wheels / "idna-2-py3-none-any.whl").touch()
    assert machine.take_in(make()).returncode == 0
    assert not (wheels / "idna-2-py3-none-any.whl").exists()


def test_the_archive_can_be_checked_by_hand(make: Make, tmp_path: Path) -> None:
    """As its README says: with tar and sha256sum alone."""
    subprocess.run(["tar", "-xf", make(), "-C", tmp_path], check=True)
    for line in (tmp_path / bundle_archive.SUMS).read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_for_the_embedded_mode_no_engine_is_needed(machine: Machine, make: Make) -> None:
    refused = machine.refusal(make(), ARCHITECTURE="")
    assert "no Docker Engine answers" in refused and "--wheels-only" in refused
    done = machine.take_in(make(), "--wheels-only", ARCHITECTURE="")
    assert done.returncode == 0, done.stderr
    assert "`make dev` needs no network" in done.stdout
    assert "load" not in machine.asked.read_text()


def test_another_architecture(machine: Machine, make: Make) -> None:
    assert re.search(
        r"bundle\.tar is for amd64, and the Docker Engine here is arm64\. Fix: ",
        machine.refusal(make(), ARCHITECTURE="arm64"),
    )


def test_another_version_of_the_checkout(machine: Machine, make: Make) -> None:
    archive = make()
    of = machine.git("rev-parse", "HEAD")[:12]
    machine.git("commit", "--quiet", "--allow-empty", "--message=later")
    at = machine.git("rev-parse", "HEAD")[:12]
    line = machine.refusal(archive)
    assert f"is of commit {of}, and this checkout is at {at}. Fix: git checkout {of}" in line


def test_a_checkout_without_a_history(machine: Machine, make: Make) -> None:
    archive = make()
    shutil.rmtree(machine.checkout / ".git")
    done = machine.take_in(archive)
    assert "the commit of this checkout is unknown (git rev-parse: " in done.stderr
    assert "). Fix: clone repository.bundle" in done.stderr
    assert not (machine.checkout / "deploy/wheels/pip.conf").exists()


def test_another_format(machine: Machine, make: Make) -> None:
    assert "has format 2, and this checkout reads 1. Fix: " in machine.refusal(make(format=2))


def test_another_image_in_the_settings(machine: Machine, make: Make) -> None:
    """What is built here from the wheels may be missing: a location that is new here."""
    config: dict[str, Any] = json.loads(json.dumps(CONFIG))
    config["services"]["sales"] = {"image": "s/sales:live", "build": {"context": "/x"}}
    assert machine.take_in(make(), CONFIG=json.dumps(config)).returncode == 0
    machine.git("clean", "-fdXq")
    machine.asked.write_text("")
    config["services"]["postgres"]["image"] = "example.com/postgres:17"
    line = machine.refusal(make(), CONFIG=json.dumps(config))
    assert "has no image example.com/postgres:17, which docker-compose.yml and .env name" in line


def test_no_archive_and_no_bundle(machine: Machine, tmp_path: Path) -> None:
    assert "BUNDLE is empty. Fix: " in machine.refusal("")
    assert "BUNDLE is 'nowhere.tar': there is no such file. Fix: " in machine.refusal("nowhere.tar")
    text = tmp_path / "text.tar"
    text.write_text("no archive\n" * 100)
    assert "text.tar is not a bundle: it is not a tar archive. Fix: " in machine.refusal(text)
    with tarfile.open(text, "w") as archive:
        archive.add(machine.bin / "docker", "docker")
    assert "text.tar is not a bundle: it has no README.md. Fix: " in machine.refusal(text)


@pytest.mark.parametrize("name", [bundle_archive.IMAGES, "wheels/idna-3-py3-none-any.whl"])
def test_a_damaged_member(machine: Machine, make: Make, name: str) -> None:
    def damage(content: dict[str, bytes]) -> None:
        content[name] = content[name][:-1] + b"!"

    line = machine.refusal(repacked(make(), damage))
    assert re.search(rf"is damaged: the SHA-256 of {name} is \w{{64}}, not \w{{64}}\. Fix: ", line)


@pytest.mark.parametrize("name", [bundle_archive.IMAGES, "wheels/idna-3-py3-none-any.whl"])
def test_a_missing_member(machine: Machine, make: Make, name: str) -> None:
    def drop(content: dict[str, bytes]) -> None:
        del content[name]

    line = machine.refusal(repacked(make(), drop))
    assert f"is incomplete: it has no {name}. Fix: " in line


@pytest.mark.parametrize("name", ["more.txt", "wheels/../../x.whl", "/etc/x", "wheels/x.sh"])
def test_a_member_that_has_no_place(machine: Machine, make: Make, name: str) -> None:
    def add(content: dict[str, bytes]) -> None:
        content[name] = b"x"
        content[bundle_archive.SUMS] += f"{hashlib.sha256(b'x').hexdigest()}  {name}\n".encode()

    line = machine.refusal(repacked(make(), add))
    assert re.search(r"holds '.*', which is not part of a bundle\. Fix: ", line)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_an_archive_that_ends_early(machine: Machine, make: Make, share: float) -> None:
    archive = make()
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    assert re.search(r"is (damaged|incomplete|not a bundle): ", machine.refusal(archive))


def test_a_damaged_list_of_contents(machine: Machine, make: Make) -> None:
    def damage(content: dict[str, bytes]) -> None:
        content[bundle_archive.SUMS] = b"\xff\xff"

    assert "its list of contents is invalid. Fix: " in machine.refusal(repacked(make(), damage))


def test_a_checkout_with_changes_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"status": " M Makefile\n?? new.py\n"}
    monkeypatch.setattr(bundle, "git", lambda *arguments: said.get(arguments[0], ""))
    expected = r"changes without a commit \(Makefile, new\.py\).* Fix: git commit"
    with pytest.raises(StackctlError, match=expected):
        bundle.bundle()


def test_a_shallow_checkout_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"rev-parse": "true\n"}
    monkeypatch.setattr(bundle, "git", lambda *arguments: said.get(arguments[0], ""))
    with pytest.raises(StackctlError, match=r"shallow.* Fix: git fetch --unshallow"):
        bundle.bundle()


def test_an_image_by_digest_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"services": {"postgres": {"image": "postgres@sha256:12"}}}
    monkeypatch.setattr(bundle, "git", lambda *arguments: "")
    monkeypatch.setattr(Stack, "load", lambda *options: Stack(config))
    with pytest.raises(StackctlError, match=r"postgres@sha256:12 is named by a digest.* Fix: "):
        bundle.bundle()


def test_lists_name_what_each_lock_file_does() -> None:
    """Every image with Python packages, the tools of this machine, and what installs them."""
    folders = {name: str(ROOT / "code_locations" / name) for name in ("elt", "analytics")}
    builds = {name: {"context": folder, "dockerfile": "x"} for name, folder in folders.items()}
    builds["webserver"] = {"context": str(ROOT), "dockerfile": "deploy/control_plane/Dockerfile"}
    builds["docker_gateway"] = {"context": str(ROOT / "deploy/gateway/docker")}
    builds["web_gateway"] = {"context": str(ROOT / "deploy/gateway/web")}
    found = bundle.lists({"services": {name: {"build": each} for name, each in builds.items()}})
    names = ("code_locations-elt", "code_locations-analytics", "deploy-control_plane")
    more = ("deploy-gateway-docker", "deploy-embedded")
    assert set(found) == {
        *(f"image/{name}.txt" for name in names + more),
        *("host/locked.txt", "host/tools.txt"),
    }
    for name in names:
        assert re.search(r"^dagster==\S+ \\\n +--hash=sha256:", found[f"image/{name}.txt"], re.M)
    assert "watchfiles==" in found["host/locked.txt"] and ";" not in found["host/locked.txt"]
    assert re.search(r"^uv==0\.\d+\.\d+$", found["host/tools.txt"], re.M)
    assert "hatchling==1.27.0\n" in found["host/tools.txt"]


@pytest.fixture
def note() -> dict[str, Any]:
    """As it is written where the bundle of this commit, and of these settings, was taken in."""
    images = images_of(compose_config(Files()), Files())
    bases = {name for image in images for name in bundle._base_images(image.build)}
    return {
        "commit": git("rev-parse", "HEAD").strip(),
        "images": [{"name": name} for name in bases],
        "ids": {image.tag: "sha256:1" for image in images},
    }


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker command")
def test_what_is_built_where_a_bundle_is(
    monkeypatch: pytest.MonkeyPatch, note: dict[str, Any]
) -> None:
    changes: list[str] = []
    monkeypatch.setattr(bundle, "git", lambda *_: "\0".join(changes))
    monkeypatch.setattr(bundle, "untracked", list)
    monkeypatch.setattr(bundle, "inspect", lambda *_: [{"Id": "sha256:1"}])
    # Whether the compose file has changes of its own here is not the subject.
    now = compose_config(Files())
    monkeypatch.setattr(bundle, "compose_config", lambda files: now)
    everything = bundle._unchanged(note)
    assert {"elt", "analytics", "webserver", "docker_gateway", "web_gateway"} <= everything
    # A line of one location; a package of one.
    changes[:] = ["code_locations/elt/src/elt/definitions.py"]
    assert everything - bundle._unchanged(note) == {"elt"}
    changes[:] = ["packages/paged_api/src/paged_api/api.py"]
    assert everything - bundle._unchanged(note) == {"elt"}
    # An image that a deployment has replaced since.
    changes[:] = []
    tag = next(tag for tag in note["ids"] if tag.endswith("/elt:live"))
    ids = note["ids"] | {tag: "sha256:other"}
    assert everything - bundle._unchanged(note | {"ids": ids}) == {"elt"}
    # Another base image by a setting; a history that is not there.
    assert bundle._unchanged(note | {"images": []}) == set()
    assert bundle._unchanged(note | {"commit": "0" * 40}) == set()
