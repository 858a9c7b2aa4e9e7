"""What the images of docker-compose.yml are made of, derived from the file and its Dockerfiles."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackctl.dockerfile import Dockerfile, Source
from stackctl.dockerignore import NOTHING, Ignored, segment_regex
from stackctl.errors import StackctlError
from stackctl.history import Files
from stackctl.stack import Stack


@dataclass(frozen=True)
class Image:
    """One image, with all paths relative to the repository.

    ``recipe`` is what makes it beside files: build arguments and the instructions that it needs.
    ``location`` is "" for the images of the control plane.
    """

    name: str
    location: str
    tag: str
    context: str
    dockerfile: str
    target: str
    additional_contexts: Mapping[str, str]
    arguments: Mapping[str, str]
    recipe: str
    sources: frozenset[Source]
    ignored: Mapping[str, Ignored]

    def holds(self, path: str) -> bool:
        """Whether the image is made with the file at ``path``, by its content."""
        return any(self._selects(source, path) for source in self.sources)

    def _selects(self, source: Source, path: str) -> bool:
        folder = self.additional_contexts[source.context] if source.context else self.context
        inside = _inside(folder, path)
        if not inside or inside in self.ignored[source.context]:
            return False
        return _matches(posixpath.normpath(source.path.lstrip("/") or "."), inside)

    def as_json(self) -> dict[str, Any]:
        """For a build matrix; lists hold name=value, as the options of a build do."""
        return {
            "name": self.name,
            "location": self.location,
            "image": self.tag,
            "context": self.context,
            "dockerfile": self.dockerfile,
            "target": self.target,
            "additional_contexts": [f"{k}={v}" for k, v in self.additional_contexts.items()],
            "args": [f"{name}={value}" for name, value in sorted(self.arguments.items())],
        }


def images_of(config: Mapping[str, Any], files: Files) -> list[Image]:
    """The images that a resolved compose file builds, in its order, as ``files`` make them."""
    locations = set(Stack(dict(config)).locations)
    services: Mapping[str, Any] = config["services"]
    return [
        _image(name, service, files, name if name in locations else "")
        for name, service in services.items()
        if service.get("build")
    ]


def _image(name: str, service: Mapping[str, Any], files: Files, location: str) -> Image:
    build = service["build"]
    if "dockerfile_inline" in build:
        raise StackctlError(f"{name}: dockerfile_inline is not understood. Way out: use a file")
    context = _relative(name, build["context"], files.folder)
    contexts = {
        key: _relative(name, value, files.folder)
        for key, value in (build.get("additional_contexts") or {}).items()
        if "://" not in value
    }
    path = posixpath.normpath(posixpath.join(context, build.get("dockerfile") or "Dockerfile"))
    dockerfile = Dockerfile(path, files.read(path))
    arguments = {key: str(value) for key, value in (build.get("args") or {}).items()}
    target = build.get("target") or ""
    stages = dockerfile.needed(target, arguments)
    sources = {source for stage in stages for source in dockerfile.sources(stage)}
    # A context takes precedence over a stage of its name; FROM would need an image of it.
    if clash := {stage.base for stage in stages} & contexts.keys():
        raise dockerfile.refuse(f"FROM {min(clash)}, which is a context,")
    return Image(
        name=name,
        location=location,
        tag=str(service.get("image") or ""),
        context=context,
        dockerfile=path,
        target=target,
        additional_contexts=contexts,
        arguments=arguments,
        recipe=json.dumps(
            [
                _without_root(build, files.folder),
                dockerfile.directives,
                dict(dockerfile.global_arguments),
                [repr(stage) for stage in stages],
            ],
            sort_keys=True,
        ),
        sources=frozenset(one for one in sources if not one.context or one.context in contexts),
        ignored={
            "": _ignored(files, f"{path}.dockerignore", posixpath.join(context, ".dockerignore")),
            **{
                key: _ignored(files, posixpath.join(folder, ".dockerignore"))
                for key, folder in contexts.items()
            },
        },
    )


def _ignored(files: Files, *candidates: str) -> Ignored:
    """The rules of the first ignore file that exists."""
    for path in map(posixpath.normpath, candidates):
        if path in files.identities:
            return Ignored(path, files.read(path))
    return NOTHING


def _relative(service: str, folder: str, root: Path) -> str:
    try:
        return Path(folder).relative_to(root).as_posix()
    except ValueError:
        raise StackctlError(
            f"{service}: the build context {folder!r} lies outside the repository. Way out: only"
            " folders of the repository can be watched for changes"
        ) from None


def _without_root(build: Mapping[str, Any], root: Path) -> str:
    return json.dumps(build, sort_keys=True).replace(f"{root}/", "").replace(str(root), ".")


def _inside(folder: str, path: str) -> str:
    """A path as seen from a folder; "" if it lies elsewhere."""
    if folder == ".":
        return path
    return path.removeprefix(f"{folder}/") if path.startswith(f"{folder}/") else ""


def _matches(pattern: str, path: str) -> bool:
    """Whether a COPY source is the file or a folder that it lies in; * and ? stop at a slash."""
    if pattern == ".":
        return True
    regex = "/".join(map(segment_regex, pattern.split("/")))
    return re.match(rf"{regex}(/|$)", path) is not None
