"""The command that writes values for the official Helm charts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stackctl.console import out, say
from stackctl.docker import ROOT, DockerError, inspect
from stackctl.errors import FAILED, USAGE, StackctlError
from stackctl.kubernetes.cluster import Cluster, Image, Logs, parse_hosts
from stackctl.kubernetes.render import documents, next_commands, render
from stackctl.service import Service
from stackctl.stack import Stack

Registry = Annotated[str, typer.Option(help="Where the cluster pulls from: ghcr.io/acme/data.")]
Images = Annotated[
    str, typer.Option(help="In place of what is live: elt=ghcr.io/acme/elt@sha256:..., by spaces.")
]
Hosts = Annotated[
    str, typer.Option(help="Services of the stack by their address: postgres=db.example.com.")
]
LogsUrl = Annotated[str, typer.Option("--logs", help="Step logs: s3://bucket/prefix.")]
LogsEndpoint = Annotated[str, typer.Option(help="The object store's URL, unless it is AWS.")]
StorageClass = Annotated[str, typer.Option(help="Of volumes that several nodes mount.")]
PullSecret = Annotated[str, typer.Option(help="A Secret with the registry's login.")]
Into = Annotated[Path, typer.Option(help="The folder; relative to the repository.")]


def helm_values(
    registry: Registry = "",
    images: Images = "",
    hosts: Hosts = "",
    logs: LogsUrl = "",
    logs_endpoint: LogsEndpoint = "",
    storage_class: StorageClass = "",
    pull_secret: PullSecret = "",
    into: Into = Path(".artifacts/helm"),
) -> None:
    """Write values for Dagster's official Helm charts, and the manifests beside them.

    From docker-compose.yml, dagster.yaml and workspace.yaml. What cannot be carried is refused by
    name, and nothing is written.
    """
    stack = Stack.load()
    cluster = Cluster(
        stack.project,
        _images(stack, registry.rstrip("/"), images),
        parse_hosts(hosts),
        Logs.parse(logs, logs_endpoint) if logs else None,
        storage_class,
        pull_secret=pull_secret,
    )
    _check_log_writers(stack)
    found = render(stack, _read("dagster.yaml"), _read("workspace.yaml"), cluster)
    folder = ROOT / into
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.values.yaml"), folder / "values.yaml"):
        old.unlink(missing_ok=True)
    for name, text in found.files.items():
        (folder / name).write_text(text)
    for note in found.notes:
        say(f"not carried: {note}")
    say(f"not run by the charts: {', '.join(found.left_out)} (docs/kubernetes.md)")
    say(f"{len(found.files)} files in {folder}. Next:")
    for command in next_commands(stack, cluster, str(into), _dagster_version()):
        out.print(command, markup=False)


def _images(stack: Stack, registry: str, given: str) -> dict[str, Image]:
    """Of each location: what is given, what the compose file names by digest, or what is live."""
    chosen = {}
    for item in given.split():
        name, _, reference = item.partition("=")
        stack.check_location(name)
        image = Image.parse(reference)
        if image is None:
            raise StackctlError(
                f"IMAGES: {item!r} has no digest. Fix: {name}=registry/name@sha256:...", USAGE
            )
        chosen[name] = image
    for name in stack.locations:
        if name not in chosen:
            service = Service(stack, name)
            chosen[name] = Image.parse(service.live_image) or _live(service, registry)
    return chosen


def _live(service: Service, registry: str) -> Image:
    name = service.location
    try:
        serving = service.serving()
        [image] = inspect("image", serving.image if serving else service.live_image) or [{}]
    except DockerError as error:
        raise StackctlError(
            f"{name}: which image is live is not known ({error}). Fix: start the engine, or"
            f" IMAGES={name}=registry/name@sha256:..."
        ) from None
    found = choose(image.get("RepoDigests") or (), registry)
    if found is None:
        wanted = f"{registry or 'registry.example.com'}/{name}"
        raise StackctlError(
            f"{name}: its live image has no digest in {registry or 'any registry'}, so a cluster"
            f" cannot pull it. Fix: docker tag {service.live_image} {wanted}:1, docker push"
            f" {wanted}:1; or ship it from there: make deploy LOCATION={name}"
            f" IMAGE={wanted}@sha256:...; or name it: IMAGES={name}={wanted}@sha256:...",
            FAILED,
        )
    return found


def choose(digests: tuple[str, ...] | list[str], registry: str) -> Image | None:
    """The image's name in a registry; in any that is one, where none is asked for."""
    for reference in digests:
        image = Image.parse(reference)
        # Where images are in containerd's store, what was only built has a digest, too.
        pullable = image and ("." in image.repository.partition("/")[0] or registry)
        if image and pullable and image.repository.startswith(f"{registry}/" if registry else ""):
            return image
    return None


def _check_log_writers(stack: Stack) -> None:
    """Raise StackctlError for a location that could not write its step logs."""
    for name in stack.locations:
        lock = ROOT / "code_locations" / name / "uv.lock"
        if lock.exists() and '\nname = "dagster-aws"\n' not in lock.read_text():
            raise StackctlError(
                f"{name}: its uv.lock has no dagster-aws, which writes step logs to a bucket."
                f" Fix: add dagster-aws to code_locations/{name}/pyproject.toml, then"
                f" deploy/tools/uv lock --project code_locations/{name}"
            )


def _read(name: str) -> Mapping[str, Any]:
    [found] = documents((ROOT / name).read_text())
    content: Mapping[str, Any] = found
    return content


def _dagster_version() -> str:
    """The charts' versions are Dagster's."""
    text = (ROOT / "deploy/control_plane/pyproject.toml").read_text()
    found = re.search(r'"dagster==([0-9.]+)"', text)
    if not found:
        raise StackctlError(
            "deploy/control_plane/pyproject.toml pins no dagster. Fix: dagster==1.x"
        )
    return found[1]
