"""Take in a bundle, which `make bundle` wrote elsewhere, on a machine without a network.

Run as a program by ``deploy/stackctl/unbundle``, with any Python 3.11: before, nothing can be
installed here. Hence no import beyond the standard library. Everything is checked before anything
is changed, and the archive is read where it is: no disk space is needed for a copy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
WHEELS = Path("deploy/wheels")
"""Where builds and installations find the wheels, in the checkout."""
NOTE = "bundle.json"
"""Beside them: the bundle's manifest, and the ids that its images have here."""
PIP_SETTINGS = "pip.conf"
"""Beside them, and last: with it, they are used."""

FORMAT = 1
README = "README.md"
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
REPOSITORY = "repository.bundle"
IMAGES = "images.tar.gz"
WHEELS_FOLDER = "wheels/"
HEAD = (README, MANIFEST, SUMS)
"""The first members of the archive, in this order."""

_AGAIN = "Fix: copy the archive again, or make it again with `make bundle`"
_RERUN = "Fix: what that names, then run this again"
_MEBIBYTE = 1024 * 1024


class Refused(Exception):
    """A message for people: what, which value, and the fix. Nothing was changed."""


@dataclass(frozen=True)
class Bundle:
    """An archive, what it says of itself, and the SHA-256 of each member."""

    path: Path
    manifest: dict[str, Any]
    sums: dict[str, str]

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Read the first members alone. Raises Refused for anything else."""
        found: dict[str, bytes] = {}
        with _reading(path) as archive:
            for member in archive:
                if member.name not in HEAD:
                    break
                found[member.name] = _content(archive, member)
        if missing := [name for name in HEAD if name not in found]:
            raise Refused(
                f"{path} is not a bundle: it has no {missing[0]}."
                " Fix: name the archive that `make bundle` wrote"
            )
        try:
            manifest: dict[str, Any] = json.loads(found[MANIFEST])
            lines = [line.split("  ", 1) for line in found[SUMS].decode().splitlines()]
            sums = {name: digest for digest, name in lines}
            if sums[MANIFEST] != hashlib.sha256(found[MANIFEST]).hexdigest():
                raise ValueError(MANIFEST)
        except (ValueError, KeyError):
            raise Refused(f"{path} is damaged: its list of contents is invalid. {_AGAIN}") from None
        if manifest.get("format") != FORMAT:
            raise Refused(
                f"{path} has format {manifest.get('format')}, and this checkout reads {FORMAT}."
                f" Fix: check out {manifest.get('commit')}, of which it was made"
            )
        return cls(path, manifest, sums)

    def check_content(self) -> None:
        """Read it all. Raises Refused unless each member is there and as it was made."""
        seen = set()
        with _reading(self.path) as archive:
            for member in archive:
                if member.name == SUMS:
                    continue
                seen.add(member.name)
                expected = self.sums.get(member.name)
                if expected is None or not member.isreg() or not _has_its_place(member.name):
                    raise Refused(
                        f"{self.path} holds {member.name!r}, which is not part of a bundle."
                        f" {_AGAIN}"
                    )
                if (found := _digest(archive, member)) != expected:
                    raise Refused(
                        f"{self.path} is damaged: the SHA-256 of {member.name} is {found}, not"
                        f" {expected}. {_AGAIN}"
                    )
        if missing := sorted({*self.sums, REPOSITORY, IMAGES} - seen):
            raise Refused(
                f"{self.path} is incomplete: it has no {missing[0]}"
                f"{f', and {len(missing) - 1} more' if missing[1:] else ''}. {_AGAIN}"
            )

    def check_commit(self, head: str) -> None:
        """Raises Refused unless the checkout is of the bundle's commit."""
        commit = self.manifest["commit"]
        if head != commit:
            raise Refused(
                f"{self.path} is of commit {commit[:12]}, and this checkout is at {head[:12]}."
                f" Fix: git checkout {commit[:12]}; or clone {REPOSITORY}, which is in the archive"
            )

    def check_architecture(self, here: str) -> None:
        """Raises Refused unless the engine's architecture is the images'."""
        if here != self.manifest["architecture"]:
            raise Refused(
                f"{self.path} is for {self.manifest['architecture']}, and the Docker Engine here"
                f" is {here}. Fix: make the bundle on a machine with {here}"
            )

    def check_images(self, wanted: set[str]) -> None:
        """Raises Refused for an image that nothing builds here, and the bundle does not have."""
        if missing := sorted(wanted - {image["name"] for image in self.manifest["images"]}):
            raise Refused(
                f"{self.path} has no image {missing[0]}, which docker-compose.yml and .env name"
                " here. Fix: the bundle's .env and this one must name the same images"
            )


def load_images(bundle: Bundle) -> dict[str, str]:
    """Load them into the engine; the id of each name there."""
    load = subprocess.Popen(
        ["docker", "load", "--quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert load.stdin and load.stderr  # noqa: S101
    with _reading(bundle.path) as archive:
        source = archive.extractfile(archive.getmember(IMAGES))
        assert source  # noqa: S101
        try:
            shutil.copyfileobj(source, load.stdin, _MEBIBYTE)
            load.stdin.close()
        except BrokenPipeError:
            pass
    problems = load.stderr.read().decode(errors="replace").strip()
    if load.wait():
        raise Refused(
            f"docker load: {problems.splitlines()[-1] if problems else 'it failed'}."
            f" {_RERUN}; what it has loaded stays"
        )
    inspect = ("image", "inspect", "--format", "{{.Id}}")
    return {
        image["name"]: _said("docker", *inspect, image["name"])
        for image in bundle.manifest["images"]
    }


def place_wheels(bundle: Bundle, folder: Path, ids: dict[str, str]) -> None:
    """Put the wheels where builds find them, in place of those of another bundle."""
    new = folder / ".new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    with _reading(bundle.path) as archive:
        for member in archive:
            if member.name.startswith(WHEELS_FOLDER):
                target = new / member.name.removeprefix(WHEELS_FOLDER)
                source = archive.extractfile(member)
                assert source  # noqa: S101
                with target.open("wb") as file:
                    shutil.copyfileobj(source, file, _MEBIBYTE)
    (folder / PIP_SETTINGS).unlink(missing_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    for wheel in new.glob("*.whl"):
        wheel.rename(folder / wheel.name)
    note = bundle.manifest | {"ids": ids}
    (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n")
    (new / PIP_SETTINGS).rename(folder / PIP_SETTINGS)
    shutil.rmtree(new)


def wanted_images(config: dict[str, Any]) -> set[str]:
    """Images that the stack uses and does not build: services' own, and those builds begin with."""
    services = config["services"].values()
    built = {service["image"] for service in services if service.get("build")}
    used = {service["image"] for service in services if service.get("image")}
    arguments = [(service.get("build") or {}).get("args") or {} for service in services]
    bases = {v for each in arguments for k, v in each.items() if k.endswith("_IMAGE") and v}
    return (used - built) | bases


def compose_config() -> dict[str, Any]:
    """docker-compose.yml with the settings of .env, and all profiles."""
    found: dict[str, Any] = json.loads(
        _said("docker", "compose", "--profile=*", "config", "--format=json")
    )
    return found


def architecture() -> str:
    """The engine's, such as amd64. Raises Refused where none answers."""
    try:
        return _said("docker", "version", "--format={{.Server.Arch}}")
    except Refused as error:
        raise Refused(
            f"no Docker Engine answers ({error}). Fix: start one; for `make dev` alone, without"
            " Docker: deploy/stackctl/unbundle --wheels-only ARCHIVE"
        ) from None


def head() -> str:
    """The checkout's commit. Raises Refused where git cannot tell."""
    try:
        return _said("git", "rev-parse", "--verify", "HEAD")
    except Refused as error:
        raise Refused(
            f"the commit of this checkout is unknown ({error}). Fix: clone {REPOSITORY}, which is"
            " in the archive"
        ) from None


def take_in(path: Path, *, wheels_only: bool) -> None:
    """Check everything, then load the images and place the wheels."""
    if not path.is_file():
        raise Refused(
            f"BUNDLE is {str(path)!r}: there is no such file."
            " Fix: make unbundle BUNDLE=the archive that `make bundle` wrote"
        )
    bundle = Bundle.open(path)
    bundle.check_commit(head())
    if not wheels_only:
        bundle.check_architecture(architecture())
        bundle.check_images(wanted_images(compose_config()))
    _step(f"Verifying {len(bundle.sums)} files ({path.stat().st_size / 1e6:,.0f} MB)")
    bundle.check_content()
    ids: dict[str, str] = {}
    if not wheels_only:
        _step(f"Loading {len(bundle.manifest['images'])} images")
        ids = load_images(bundle)
    _step(f"Placing {bundle.manifest['wheels']} wheels into {WHEELS}")
    place_wheels(bundle, ROOT / WHEELS, ids)
    start = "make dev" if wheels_only else "make up"
    print(f"Bundle {bundle.manifest['version']} is here. `{start}` needs no network.")


@contextmanager
def _reading(path: Path) -> Iterator[tarfile.TarFile]:
    opened = False
    try:
        with tarfile.open(path, "r:") as archive:
            opened = True
            yield archive
    except (tarfile.TarError, EOFError) as error:
        if opened:
            raise Refused(f"{path} is damaged: {error}. {_AGAIN}") from None
        raise Refused(
            f"{path} is not a bundle: it is not a tar archive."
            " Fix: name the archive that `make bundle` wrote"
        ) from None


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    found = hashlib.sha256()
    file = archive.extractfile(member)
    while file and (piece := file.read(_MEBIBYTE)):
        found.update(piece)
    return found.hexdigest()


def _has_its_place(name: str) -> bool:
    wheel = name.removeprefix(WHEELS_FOLDER)
    return name in {*HEAD, REPOSITORY, IMAGES} or (
        wheel != name and "/" not in wheel and (wheel.endswith(".whl") or wheel == PIP_SETTINGS)
    )


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Refused(f"there is no {command[0]} command here") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Refused(f"{' '.join(command[:2])}: {lines[-1] if lines else 'it failed'}")
    return done.stdout.strip()


def _step(text: str) -> None:
    print(f"==> {text}", flush=True)


def main() -> int:
    """Take in what the command line names; what goes wrong is one line."""
    parser = argparse.ArgumentParser(prog="unbundle", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("archive", help="what `make bundle` wrote")
    parser.add_argument("--wheels-only", action="store_true", help="for `make dev`: no images")
    arguments = parser.parse_args()
    try:
        if not arguments.archive:
            raise Refused("BUNDLE is empty. Fix: make unbundle BUNDLE=dagster-bundle-....tar")
        take_in(Path(arguments.archive), wheels_only=arguments.wheels_only)
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or WHEELS}: {error.strerror}. {_RERUN}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted. Fix: run this again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
