"""Which files of the repository each image of docker-compose.yml is made of.

A rule about folders, which reads no Dockerfile: an image is made of its build contexts, its
Dockerfile and its ignore file; of the context `packages`, of those that its lock file names. The
rule may name files that no instruction copies, but never misses one: tests/stack/images compares
it with what BuildKit sends.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackctl import packages
from stackctl.errors import StackctlError
from stackctl.history import Files
from stackctl.stack import Stack

# What the rule understands of an ignore file's patterns; any other pattern leaves nothing out.
_PLAIN_PATH = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")

# Contexts that hold no files of the repository; their addresses are part of the build section.
_ELSEWHERE = ("docker-image://", "https://", "http://")


@dataclass(frozen=True)
class Image:
    """One image, with all paths relative to the repository.

    ``location`` is "" for the images of the control plane. ``build`` is the resolved section of
    the compose file. ``inputs`` are files and folders, each with the folders left out of it.
    ``packages`` are the folders of the shared packages that it uses, their tests included.
    """

    name: str
    location: str
    tag: str
    build: Mapping[str, Any]
    context: str
    dockerfile: str
    additional_contexts: Mapping[str, str]
    inputs: Mapping[str, tuple[str, ...]]
    packages: tuple[str, ...] = ()

    def is_made_of(self, path: str) -> bool:
        """Whether the file at ``path`` is one of its inputs."""
        return any(
            is_inside(path, folder) and not any(is_inside(path, one) for one in left_out)
            for folder, left_out in self.inputs.items()
        )

    def as_json(self) -> dict[str, Any]:
        """For a build matrix; lists hold name=value, as the options of a build do."""
        arguments = self.build.get("args") or {}
        return {
            "name": self.name,
            "location": self.location,
            "image": self.tag,
            "context": self.context,
            "dockerfile": self.dockerfile,
            "target": self.build.get("target") or "",
            "additional_contexts": [f"{k}={v}" for k, v in self.additional_contexts.items()],
            # One without a value is not set where this runs.
            "args": [f"{k}={v}" for k, v in sorted(arguments.items()) if v is not None],
        }


def images_of(config: Mapping[str, Any], files: Files) -> list[Image]:
    """The images that a resolved compose file builds, in its order.

    Raises StackctlError for a context or Dockerfile outside the repository.
    """
    locations = set(Stack(dict(config)).locations)
    services: Mapping[str, Any] = config["services"]
    return [
        _image(name, service, files, name if name in locations else "")
        for name, service in services.items()
        if service.get("build")
    ]


def is_inside(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` itself or lies in it."""
    return folder in {".", path} or path.startswith(f"{folder}/")


def _image(name: str, service: Mapping[str, Any], files: Files, location: str) -> Image:
    build = service["build"]

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
    contexts = {
        key: relative(value)
        for key, value in (build.get("additional_contexts") or {}).items()
        if not value.startswith(_ELSEWHERE)
    }
    # BuildKit reads the first one that exists.
    ignore_files = (f"{dockerfile}.dockerignore", posixpath.normpath(f"{context}/.dockerignore"))
    ignore_file = next((path for path in ignore_files if path in files.paths), None)
    patterns = files.read(ignore_file).splitlines() if ignore_file else []
    whole = [dockerfile, *ignore_files]
    whole += [folder for key, folder in contexts.items() if key != packages.FOLDER]
    shared: dict[str, tuple[str, ...]] = {}
    if packages.FOLDER in contexts:
        shared = _package_inputs(contexts[packages.FOLDER], f"{context}/uv.lock", files)
        # BuildKit reads the ignore file of a named context there.
        whole.append(f"{contexts[packages.FOLDER]}/.dockerignore")
    return Image(
        name=name,
        location=location,
        tag=str(service.get("image") or ""),
        build=build,
        context=context,
        dockerfile=dockerfile,
        additional_contexts=contexts,
        inputs=_context_inputs(context, patterns) | shared | dict.fromkeys(whole, ()),
        packages=tuple(shared),
    )


def _package_inputs(folder: str, lock: str, files: Files) -> dict[str, tuple[str, ...]]:
    """The packages in ``folder`` that the lock file names, each but for its tests."""
    names = packages.used(files.read(lock)) if lock in files.paths else []
    ignore_file = f"{folder}/.dockerignore"
    patterns = files.read(ignore_file).splitlines() if ignore_file in files.paths else []
    left_out = ["tests"] if "**/tests" in patterns else []
    found = (posixpath.normpath(f"{folder}/{name}") for name in names)
    return {path: tuple(f"{path}/{each}" for each in left_out) for path in found}


def _context_inputs(context: str, patterns: list[str]) -> dict[str, tuple[str, ...]]:
    """The part of a context that its ignore file lets in.

    With `*` and plain `!` paths: those paths. Without `!`: the context but for the plain paths.
    With anything else: the whole context.
    """
    lines = {line.strip().strip("/") for line in patterns}
    let_in = {line[1:].strip("/") for line in lines if line.startswith("!")}
    if "*" in lines and all(map(_PLAIN_PATH.fullmatch, let_in)):
        return {posixpath.normpath(f"{context}/{path}"): () for path in sorted(let_in)}
    left_out = set() if let_in else {line for line in lines if _PLAIN_PATH.fullmatch(line)}
    return {context: tuple(posixpath.normpath(f"{context}/{path}") for path in sorted(left_out))}
