"""Take in a bundle, which `make bundle` wrote elsewhere, on a machine without a network.

Run as a program by ``deploy/stackctl/unbundle``, with any Python 3.11: before, nothing can be
installed here. Hence no import beyond the standard library. Everything is checked before anything
is changed, and the archive is read where it is: no disk space is needed for a copy.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from stackctl.bundle_archive import (
    IMAGES,
    MEBIBYTE,
    PIP_SETTINGS,
    REPOSITORY,
    WHEELS_FOLDER,
    Bundle,
    Refused,
    reading,
)

ROOT = Path(__file__).resolve().parents[4]
WHEELS = Path("deploy/wheels")
"""Where builds and installations find the wheels, in the checkout."""
NOTE = "bundle.json"
"""Beside them: the bundle's manifest, and the ids that its images have here."""

_RERUN = "Fix: what that names, then run this again"


def load_images(bundle: Bundle) -> dict[str, str]:
    """Load them into the engine; the id of each name there."""
    load = subprocess.Popen(
        ["docker", "load", "--quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert load.stdin and load.stderr  # noqa: S101
    with reading(bundle.path) as archive:
        source = archive.extractfile(archive.getmember(IMAGES))
        assert source  # noqa: S101
        try:
            shutil.copyfileobj(source, load.stdin, MEBIBYTE)
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
    with reading(bundle.path) as archive:
        for member in archive:
            if member.name.startswith(WHEELS_FOLDER):
                target = new / member.name.removeprefix(WHEELS_FOLDER)
                source = archive.extractfile(member)
                assert source  # noqa: S101
                with target.open("wb") as file:
                    shutil.copyfileobj(source, file, MEBIBYTE)
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
