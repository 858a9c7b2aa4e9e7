"""`stackctl images`: which images there are, and which of them a change affects."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from stackctl.console import out
from stackctl.docker import COMPOSE_FILE, ROOT, DockerError, docker
from stackctl.errors import StackctlError
from stackctl.history import Files, changed_paths, fork_point
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
        typer.Option(
            "--tests",
            help="A location counts as changed with any file of its folder, or of its packages'.",
        ),
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
        old = images_of(compose_config(before), before) if COMPOSE_FILE in before.paths else []
        found = changed(old, found, changed_paths(before.commit), tests=tests)
    if locations:
        found = [image for image in found if image.location]
    if as_json:
        out.print_json(json.dumps([_entry(image, now, files) for image in found]), indent=None)
        return
    for image in found:
        held = _files(image, now)
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
        raise StackctlError(f"{COMPOSE_FILE}{where} is invalid: {error}") from None
    config: dict[str, Any] = json.loads(resolved)
    return config


def changed(
    old: list[Image], new: list[Image], paths: list[str], *, tests: bool = False
) -> list[Image]:
    """The images of ``new`` that are built differently than in ``old``, or from changed ``paths``.

    With ``tests`` also the locations that have any of ``paths`` in a folder that they are made of.
    """
    former = {image.name: image.build for image in old}
    return [
        image
        for image in new
        if image.build != former.get(image.name)
        or any(image.is_made_of(path, tests=tests and image.location != "") for path in paths)
    ]


def _files(image: Image, files: Files) -> list[str]:
    return sorted(filter(image.is_made_of, files.paths))


def _entry(image: Image, files: Files, with_files: bool) -> dict[str, Any]:
    found = {"name": image.name, "location": image.location, "context": image.context}
    return found | ({"files": _files(image, files)} if with_files else {})
