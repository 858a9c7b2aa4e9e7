"""The command watch: a changed file is live within seconds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
import watchfiles

from stackctl import packages, ship_cli
from stackctl.console import complain, say
from stackctl.docker import ROOT
from stackctl.errors import StackctlError
from stackctl.stack import Stack

# Until the image that a location runs is the one that its runs get, it has not been shipped: so
# a change is built and goes live by the same way as any release, only without being asked for.


def watch(
    location: Annotated[str | None, typer.Argument(help="By default all locations.")] = None,
) -> None:
    """Ship a location whenever a file that its image is made of changes, until Ctrl-C.

    A release that does not pass the gate is explained; the one before serves on.
    """
    stack = Stack.load()
    if location:
        stack.check_location(location)
    folders = sources(stack, [location] if location else stack.locations)
    said = False
    # The first time it has found nothing, it watches.
    for changed in watchfiles.watch(*folders, rust_timeout=500, yield_on_timeout=True):
        if not said:
            say(f"watching {', '.join(sorted(set().union(*folders.values())))}; Ctrl-C ends it")
            said = True
        for name in affected(folders, (Path(path) for _, path in changed)):
            try:
                ship_cli.deploy(name, wait=600)
            except StackctlError as error:
                complain(str(error))


def sources(stack: Stack, locations: Iterable[str]) -> dict[Path, set[str]]:
    """Folders and files that locations' images are made of, and the locations of each."""
    found: dict[Path, set[str]] = {}
    for name in locations:
        # A location without a build of its own runs another one's image.
        if build := stack.config["services"][name].get("build"):
            context = ROOT / build["context"]
            parts = ["src", "pyproject.toml", "uv.lock"]
            if (context / "dbt").is_dir():
                parts.append("dbt")
            watched = [context / part for part in parts]
            if (lock := context / "uv.lock").is_file():
                shared = ROOT / packages.FOLDER
                watched += [shared / each / "src" for each in packages.used(lock.read_text())]
            for path in watched:
                found.setdefault(path, set()).add(name)
    return found


def affected(folders: dict[Path, set[str]], changed: Iterable[Path]) -> list[str]:
    """The locations that changed files belong to."""
    names = {
        name
        for path in changed
        for folder, locations in folders.items()
        if path == folder or (folder in path.parents and not _made_here(folder, path))
        for name in locations
    }
    return sorted(names)


def _made_here(folder: Path, path: Path) -> bool:
    """Whether it is dbt's manifest, or beside it: an image has its own."""
    return folder.name == "dbt" and path.is_relative_to(folder / "target")
