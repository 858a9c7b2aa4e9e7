"""Which files of the repository each image of docker-compose.yml is made of.

A rule about folders: an image is made of its build contexts and its Dockerfile. Of the context
`packages` those count that its lock file names, and no folder's own `tests`. The rule may name
files that no instruction copies, but never misses one: tests/stack/images compares it with what
BuildKit sends.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackctl import packages
from stackctl.errors import StackctlError
from stackctl.history import Files
from stackctl.stack import Stack

_CONTROL_PLANE = "deploy/control_plane/Dockerfile"
_OF_THE_CONTROL_PLANE = (
    *("dagster.yaml", "workspace.yaml", "deploy/control_plane", "deploy/postgres"),
    *("deploy/code_location/entrypoint", "packages/compose_run_launcher/src"),
)
"""What its Dockerfile copies of its context, which is the whole repository."""


@dataclass(frozen=True)
class Image:
    """One image; ``location`` is "" for those of the control plane.

    ``tag`` is its name for Docker, ``build`` its resolved section of the compose file, ``folders``
    what it is made of: folders and files, relative to the repository.
    """

    name: str
    location: str
    tag: str
    build: Mapping[str, Any]
    context: str
    folders: tuple[str, ...]

    def is_made_of(self, path: str, *, tests: bool = False) -> bool:
        """Whether the file at ``path`` is one of its own, or, if asked, of its tests."""
        return any(
            _is_inside(path, folder) and (tests or not _is_inside(path, f"{folder}/tests"))
            for folder in self.folders
        )


def images_of(config: Mapping[str, Any], files: Files) -> list[Image]:
    """The images that a resolved compose file builds, in its order.

    Raises StackctlError for a context or Dockerfile outside the repository.
    """
    locations = Stack(dict(config)).locations
    services: Mapping[str, Any] = config["services"]
    return [
        _image(name, name if name in locations else "", service, files)
        for name, service in services.items()
        if service.get("build")
    ]


def _image(name: str, location: str, service: Mapping[str, Any], files: Files) -> Image:
    build: Mapping[str, Any] = service["build"]

    def relative(path: str) -> str:
        found = os.path.relpath(path, files.folder)
        if not Path(path).is_absolute() or found.split("/")[0] == "..":
            raise StackctlError(
                f"{name}: {path!r} is not in this repository, so its changes cannot be seen."
                " Fix: build from folders of the repository"
            )
        return found

    context = relative(build["context"])
    dockerfile = relative(posixpath.join(build["context"], build.get("dockerfile") or "Dockerfile"))
    others = {
        key: relative(value)
        for key, value in (build.get("additional_contexts") or {}).items()
        # Images and web addresses hold no files of the repository.
        if "://" not in value
    }
    of_context = _OF_THE_CONTROL_PLANE if dockerfile == _CONTROL_PLANE else (context,)
    shared: list[str] = []
    if folder := others.pop(packages.FOLDER, None):
        lock = f"{context}/uv.lock"
        used = packages.used(files.read(lock)) if lock in files.paths else []
        shared = [f"{folder}/{each}" for each in (".dockerignore", *used)]
    folders = (*of_context, dockerfile, f"{dockerfile}.dockerignore", *others.values(), *shared)
    tag = str(service.get("image") or "")
    return Image(name, location, tag, build, context, folders)


def _is_inside(path: str, folder: str) -> bool:
    return folder in {".", path} or path.startswith(f"{folder}/")
