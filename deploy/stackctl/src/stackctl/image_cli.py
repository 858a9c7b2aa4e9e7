"""`stackctl images`: which images there are, and which of them a change makes anew."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from stackctl.console import out
from stackctl.docker import COMPOSE_FILE, ROOT, DockerError, docker
from stackctl.errors import StackctlError
from stackctl.history import Files, fork_point
from stackctl.image_inputs import Image, images_of


def images(
    changed_since: Annotated[
        str,
        typer.Option(metavar="REF", help="Only those that differ between HEAD and its fork point."),
    ] = "",
    locations: Annotated[
        bool, typer.Option("--locations", help="Leave out the control plane's.")
    ] = False,
    tests: Annotated[
        bool,
        typer.Option("--tests", help="A location counts as changed with any file of its folder."),
    ] = False,
    files: Annotated[bool, typer.Option("--files", help="Name the files, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a build matrix.")] = False,
) -> None:
    """List the images that docker-compose.yml builds. Needs the docker command, and no engine."""
    now = Files("HEAD" if changed_since else "")
    found = images_of(compose_config(now), now)
    if changed_since:
        before = Files(fork_point(changed_since))
        # Without a compose file at that commit, everything is new.
        old = images_of(compose_config(before), before) if COMPOSE_FILE in before.identities else []
        found = changed(old, before, found, now, tests=tests)
    if locations:
        found = [image for image in found if image.location]
    if as_json:
        out.print_json(json.dumps([_entry(image, now, files) for image in found]), indent=None)
        return
    for image in found:
        held = _held(image, now)
        out.print(f"{image.name}: {len(held)} files", markup=False)
        for path in held if files else []:
            out.print(f"  {path}", markup=False)


def compose_config(files: Files) -> dict[str, Any]:
    """docker-compose.yml of some commit, with all settings filled in."""
    try:
        resolved = docker(
            *("compose", "--project-directory", str(ROOT), "--file", "-"),
            *("config", "--format", "json"),
            given=files.read(COMPOSE_FILE),
        )
    except DockerError as error:
        where = f" at {files.commit}" if files.commit else ""
        raise StackctlError(f"{COMPOSE_FILE}{where} does not hold: {error}") from None
    config: dict[str, Any] = json.loads(resolved)
    return config


def changed(
    old: list[Image], before: Files, new: list[Image], now: Files, *, tests: bool = False
) -> list[Image]:
    """The images of ``new`` that another recipe makes than in ``old``, or other files.

    With ``tests`` also those of locations of whose folder any file differs.
    """
    former = {image.name: image for image in old}
    return [
        image
        for image in new
        if image.name not in former
        or image.recipe != former[image.name].recipe
        or _content(image, now) != _content(former[image.name], before)
        or (tests and image.location and _folder(image, now) != _folder(image, before))
    ]


def _content(image: Image, files: Files) -> dict[str, str]:
    """Where a file lies counts as well as what it holds."""
    return {path: what for path, what in files.identities.items() if image.holds(path)}


def _folder(image: Image, files: Files) -> dict[str, str]:
    inside = f"{image.context}/"
    return {path: what for path, what in files.identities.items() if path.startswith(inside)}


def _held(image: Image, files: Files) -> list[str]:
    """Its files, and those that say which they are."""
    rules = (image.dockerfile, f"{image.dockerfile}.dockerignore")
    return sorted(path for path in files.identities if image.holds(path) or path in rules)


def _entry(image: Image, files: Files, with_files: bool) -> dict[str, Any]:
    return image.as_json() | ({"files": _held(image, files)} if with_files else {})
