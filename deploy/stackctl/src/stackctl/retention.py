"""Releases that are kept: what serves, what runs need, and some to go back to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackctl.docker import DockerError, docker, inspect
from stackctl.records import Record
from stackctl.service import Container, Service, content_of, utc

_DEFAULT = 5


@dataclass(frozen=True)
class Release:
    """One release whose image is on the engine."""

    release: str
    content: str
    """Of its image, see service.content_of."""
    size: int
    """Bytes, base image included."""
    when: str
    """When it last went live, as far as is known: ISO 8601, UTC."""
    record: Record | None
    """None when it went live by Compose alone."""


def releases(
    service: Service, records: Sequence[Record], serving: Container | None
) -> list[Release]:
    """Those of a location, the latest to go live first."""
    latest = {record.release: record for record in records}
    pattern = f"--filter=reference={service.release_image('*')}"
    names = docker("image", "ls", pattern, "--format={{.Repository}}:{{.Tag}}").split()
    images = {image["Id"]: image for image in inspect("image", *names)}

    def when(tag: str, image: Mapping[str, Any]) -> str:
        if tag in latest:
            return latest[tag].when
        # Each deployment beside it tags the serving image again, and the engine notes that time.
        if serving and serving.content == content_of(image):
            return serving.created
        return utc(image["Metadata"]["LastTagTime"])

    found = [
        Release(tag, content_of(image), image["Size"], when(tag, image), latest.get(tag))
        for image in images.values()
        for tag in _tags(service, image)
    ]
    return sorted(found, key=lambda one: one.when, reverse=True)


def superfluous(
    found: Sequence[Release], live: str | None, used: Mapping[str, int], keep: int
) -> list[Release]:
    """Those that may go: neither ``live`` (a content), nor ``used`` by a run, nor among the
    ``keep`` latest others."""
    others = [one for one in found if one.content != live]
    return [one for one in others[keep:] if not used.get(one.release)]


def prune(service: Service, going: Sequence[Release]) -> list[str]:
    """Remove their images; the names of those that went. One that a container has stays."""
    gone = []
    for one in going:
        try:
            docker("image", "rm", service.release_image(one.release))
        except DockerError:
            continue
        gone.append(one.release)
    return gone


def to_keep(service: Service) -> int:
    """The setting KEEP_RELEASES."""
    return int(service.stack.config.get("x-releases", {}).get("keep", _DEFAULT))


def _tags(service: Service, image: Mapping[str, Any]) -> list[str]:
    prefix = service.release_image("")
    tags = [name.removeprefix(prefix) for name in image["RepoTags"] if name.startswith(prefix)]
    return [tag for tag in tags if tag not in {"live", "next"}]
